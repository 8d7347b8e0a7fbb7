//! Settings and store -> the keys of the server.

use super::{AppError, Storage};
use crate::clock::UnixTime;
use crate::config;
use crate::config::Config;
use crate::flow::keys::{
    KeyChangeError, KeySources, SealingSource, SigningSource, are_kept, open_marks,
    open_signing_keys,
};
use crate::jwt::keys::{Algorithm, KeyMaterial};
use crate::jwt::ring::KeyRing;
use crate::seal::{KeyFile, Marks, SealError, Sealer, SealingKey, SealingKeys};
use crate::store::Store;

/// Everything that signs, seals and marks.
pub(super) struct Keys {
    pub(super) sealer: Sealer,
    pub(super) marks: Marks,
    pub(super) ring: KeyRing,
    pub(super) sources: KeySources,
}

impl Keys {
    /// The keys, made where there are none yet.
    pub(super) async fn open(
        config: &Config,
        storage: &Storage,
        now: UnixTime,
    ) -> Result<Self, AppError> {
        let store = &*storage.store;
        let sealer = Sealer::new(&storage.keys);
        let signing = signing_source(config)?;
        // first: whoever finds these in a store knows that there is a sealing key to it
        let kept = open_signing_keys(store, &sealer, &signing, config.tokens.access, now).await?;
        let marks = open_marks(store, &sealer).await?;
        let issuer = config.public_url.as_str().to_owned();
        Ok(Self {
            ring: KeyRing::new(issuer, &kept)?,
            sealer,
            marks,
            sources: KeySources::new(signing, storage.source.clone()),
        })
    }
}

fn signing_source(config: &Config) -> Result<SigningSource, AppError> {
    Ok(match &config.tokens.signing_key {
        Some(pem) => SigningSource::Given(KeyMaterial::from_pem(pem)?),
        None => SigningSource::Made(match config.tokens.algorithm {
            config::Algorithm::Es256 => Algorithm::Es256,
            config::Algorithm::EdDsa => Algorithm::EdDsa,
            config::Algorithm::Rs256 => Algorithm::Rs256,
        }),
    })
}

/// The sealing keys that the settings give.
pub(super) fn configured(config: &Config) -> Result<Option<SealingKeys>, SealError> {
    let Some(current) = &config.sealing_key else {
        return Ok(None);
    };
    let before = config.sealing_keys_before.iter();
    let before: Result<_, _> = before.map(SealingKey::from_base64).collect();
    Ok(Some(SealingKeys::given(
        SealingKey::from_base64(current)?,
        before?,
    )))
}

/// The sealing keys in `data_dir`. A new one is made for a new store alone: nothing in an old one would open with it.
pub(super) async fn from_file(
    config: &Config,
    store: &dyn Store,
) -> Result<(SealingKeys, SealingSource), AppError> {
    let file = KeyFile::in_dir(&config.data_dir);
    let keys = match file.read()? {
        Some(keys) => {
            file.tidy()?;
            keys
        }
        None if are_kept(store).await? => {
            return Err(AppError::Seal(SealError::MissingKeyFile {
                file: file.path().to_owned(),
                store: super::store_dir(config),
            }));
        }
        None => file.read_or_make()?,
    };
    Ok((keys, SealingSource::File(file)))
}

impl From<KeyChangeError> for AppError {
    fn from(error: KeyChangeError) -> Self {
        match error {
            KeyChangeError::Store(error) => Self::Store(error),
            KeyChangeError::Key(error) => Self::Key(error),
            KeyChangeError::Seal(error) => Self::Seal(error),
            other => Self::Keys(other),
        }
    }
}

//! Keys that the configuration gives, and keys that are missing or wrong at the start.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anteroom::app::{App, AppError, Storage};
use anteroom::clock::{Clock, ManualClock, UnixTime};
use anteroom::config::{Algorithm, Backend, Config, StoreKind};
use anteroom::flow::keys::{KeyChangeError, KeyKind, KeyState, KnownKey, PUBLISHED_BEFORE};
use anteroom::jwt::keys::{Algorithm as Signs, KeyMaterial};
use anteroom::protocol::claims::AccessClaims;
use anteroom::protocol::ids::{ClientId, Subject};
use anteroom::secret::Secret;
use anteroom::standin::Standin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::harness::server::NOW;

const LIFE: Duration = Duration::from_secs(3600);

/// Settings over one directory, for one process after another.
struct Place {
    config: Config,
    clock: Arc<ManualClock>,
    directory: TempDir,
}

impl Place {
    async fn new() -> Self {
        let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let provider = anteroom::command::stand_in(&standin).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let listen = ([127, 0, 0, 1], 8080).into();
        let mut config = Config::dev(listen, provider, Backend::Sample);
        config.store = StoreKind::Sled;
        config.data_dir = directory.path().join("data");
        Self {
            config,
            clock: Arc::new(ManualClock::at(NOW)),
            directory,
        }
    }

    async fn start(&self) -> Result<App, AppError> {
        let storage = Storage::open(&self.config).await?;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        App::with(&self.config, storage, clock).await
    }

    async fn refusal(&self) -> String {
        match self.start().await {
            Ok(_) => panic!("it starts"),
            Err(error) => error.to_string(),
        }
    }

    fn key_file(&self) -> std::path::PathBuf {
        self.config.data_dir.join("sealing.key")
    }
}

fn sealing_key(byte: u8) -> Secret {
    Secret::new(STANDARD.encode([byte; 32]))
}

fn pem(key: &KeyMaterial) -> Secret {
    let text = STANDARD.encode(&key.to_bytes()[1..]);
    Secret::new(format!(
        "-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"
    ))
}

async fn signing(app: &App) -> Vec<KnownKey> {
    let mut keys = app.flows().list_keys().await.unwrap();
    keys.retain(|key| key.kind == KeyKind::Signing);
    keys
}

async fn ids_and_states(app: &App) -> Vec<(String, KeyState)> {
    let keys = signing(app).await.into_iter();
    keys.map(|key| (key.id, key.state)).collect()
}

fn token(app: &App) -> String {
    let flows = app.flows();
    let claims = AccessClaims {
        iss: flows.issuer.as_str().to_owned(),
        sub: Subject::new("github:1"),
        aud: "r".to_owned(),
        client_id: ClientId::new("c"),
        iat: flows.clock.now(),
        exp: flows.clock.now() + LIFE,
        jti: "j".to_owned(),
        scope: String::new(),
        sid: "s".to_owned(),
    };
    flows.keys.mint(&claims).unwrap().expose().to_owned()
}

fn is_good(app: &App, token: &str) -> bool {
    let flows = app.flows();
    flows.keys.verify(token, "r", flows.clock.now()).is_ok()
}

/// AT-08, SEC-08
#[tokio::test]
async fn keys_are_made_once_and_are_the_same_after_a_restart() {
    let place = Place::new().await;
    let app = place.start().await.unwrap();
    let (keys, token) = (app.flows().list_keys().await.unwrap(), token(&app));
    let tag = |app: &App| {
        app.flows()
            .marks
            .tag(anteroom::seal::Purpose::RefreshTag, b"m")
    };
    let made = tag(&app);
    drop(app);
    let app = place.start().await.unwrap();
    assert_eq!(app.flows().list_keys().await.unwrap(), keys);
    assert!(is_good(&app, &token));
    assert_eq!(tag(&app), made);
}

/// CONS-15, SEC-08
#[tokio::test]
async fn a_missing_sealing_key_is_never_made_anew_for_a_store_that_has_one() {
    let place = Place::new().await;
    drop(place.start().await.unwrap());
    let file = place.key_file();
    let away = place.directory.path().join("away");
    std::fs::rename(&file, &away).unwrap();
    for _ in 0..2 {
        let refusal = place.refusal().await;
        for said in [
            file.to_str().unwrap(),
            "is missing",
            "bring it back from a backup, or delete the store",
            "everybody has to sign in again",
        ] {
            assert!(refusal.contains(said), "{refusal}");
        }
        assert!(!file.exists());
    }
    std::fs::rename(&away, &file).unwrap();
    drop(place.start().await.unwrap());
    // ... and what the refusal says is true
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_dir_all(place.config.data_dir.join("store")).unwrap();
    drop(place.start().await.unwrap());
}

/// CONS-15, SEC-08
#[tokio::test]
async fn a_wrong_sealing_key_is_refused_and_changes_nothing() {
    let mut place = Place::new().await;
    drop(place.start().await.unwrap());
    let right = std::fs::read(place.key_file()).unwrap();
    // of another store
    let wrong = format!("{}\n", sealing_key(9).expose());
    std::fs::write(place.key_file(), &wrong).unwrap();
    let refusal = place.refusal().await;
    assert!(refusal.contains("sealed with another key"), "{refusal}");
    // given, and the file forgotten
    place.config.sealing_key = Some(sealing_key(9));
    let refusal = place.refusal().await;
    assert!(refusal.contains("sealed with another key"), "{refusal}");
    place.config.sealing_key = Some(Secret::new("c2hvcnQ="));
    assert!(place.refusal().await.contains("openssl rand"));
    place.config.sealing_key = Some(sealing_key(9));
    place.config.sealing_keys_before = vec![Secret::new("c2hvcnQ=")];
    assert!(place.refusal().await.contains("openssl rand"));
    // open to others
    place.config.sealing_key = None;
    place.config.sealing_keys_before.clear();
    std::fs::write(place.key_file(), &right).unwrap();
    set_mode(&place.key_file(), 0o640);
    assert!(place.refusal().await.contains("chmod 600"));
    set_mode(&place.key_file(), 0o600);
    drop(place.start().await.unwrap());
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// SEC-08
#[tokio::test]
async fn sealing_keys_of_the_configuration_are_rotated_there() {
    let mut place = Place::new().await;
    place.config.sealing_key = Some(sealing_key(1));
    let app = place.start().await.unwrap();
    assert!(!place.key_file().exists());
    let token = token(&app);
    let refused = app.flows().rotate_sealing_key().await.unwrap_err();
    assert!(matches!(refused, KeyChangeError::SealingKeyIsGiven));
    assert!(refused.to_string().contains("into sealing_keys_before"));
    drop(app);

    place.config.sealing_key = Some(sealing_key(2));
    let refusal = place.refusal().await;
    assert!(refusal.contains("sealed with another key"), "{refusal}");
    // twice the same is no harm
    place.config.sealing_keys_before = vec![sealing_key(1), sealing_key(2), sealing_key(1)];
    let app = place.start().await.unwrap();
    let keys = app.flows().list_keys().await.unwrap();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(is_good(&app, &token));
    app.flows().tend_keys().await.unwrap();
    drop(app);

    place.config.sealing_keys_before.clear();
    let app = place.start().await.unwrap();
    assert!(is_good(&app, &token));
    drop(app);
    place.config.sealing_key = Some(sealing_key(1));
    let refusal = place.refusal().await;
    assert!(refusal.contains("sealed with another key"), "{refusal}");
}

/// SEC-08
#[tokio::test]
async fn a_store_in_memory_has_no_sealing_key_to_rotate() {
    let mut place = Place::new().await;
    place.config.store = StoreKind::Memory;
    let app = place.start().await.unwrap();
    let refused = app.flows().rotate_sealing_key().await.unwrap_err();
    assert!(matches!(refused, KeyChangeError::InMemory));
    app.flows().rotate_signing_key().await.unwrap();
    app.flows().tend_keys().await.unwrap();
    assert!(!place.config.data_dir.exists());
}

/// AT-06, AT-08
#[tokio::test]
async fn another_algorithm_takes_over_like_another_key() {
    let mut place = Place::new().await;
    let app = place.start().await.unwrap();
    let first = token(&app);
    drop(app);
    for (algorithm, name) in [(Algorithm::Rs256, "RS256"), (Algorithm::EdDsa, "EdDSA")] {
        place.config.tokens.algorithm = algorithm;
        let app = place.start().await.unwrap();
        let keys = signing(&app).await;
        assert_eq!(keys.len(), 2, "the one that waited never had its turn");
        assert_eq!((keys[0].algorithm, keys[1].algorithm), ("ES256", name));
        assert_eq!(
            (keys[0].state, keys[1].state),
            (KeyState::InUse, KeyState::Published)
        );
        assert!(is_good(&app, &first));
    }
    place.clock.advance(PUBLISHED_BEFORE);
    let app = place.start().await.unwrap();
    let second = token(&app);
    assert!(is_good(&app, &first) && is_good(&app, &second));
    let keys = signing(&app).await;
    assert_eq!(keys[1].state, KeyState::InUse);
    place.clock.advance(LIFE);
    assert!(!is_good(&app, &first));
}

/// AT-06, AT-08
#[tokio::test]
async fn a_signing_key_of_the_configuration_signs_and_is_rotated_there() {
    let mut place = Place::new().await;
    let [one, two] = [Signs::EdDsa, Signs::Es256].map(|algorithm| {
        let key = KeyMaterial::generate(algorithm).unwrap();
        (key.kid().unwrap(), pem(&key))
    });
    // of a new store, it is the first to sign; and it decides the algorithm
    place.config.tokens.signing_key = Some(one.1.clone());
    let app = place.start().await.unwrap();
    let in_use = |kid: &str| (kid.to_owned(), KeyState::InUse);
    assert_eq!(ids_and_states(&app).await, [in_use(&one.0)]);
    let first = token(&app);
    let refused = app.flows().rotate_signing_key().await.unwrap_err();
    assert!(refused.to_string().contains("tokens.signing_key"));
    drop(app);
    let app = place.start().await.unwrap();
    assert_eq!(ids_and_states(&app).await, [in_use(&one.0)]);
    drop(app);
    // another one is published first
    place.config.tokens.signing_key = Some(two.1);
    let app = place.start().await.unwrap();
    let waits = (two.0.clone(), KeyState::Published);
    assert_eq!(ids_and_states(&app).await, [in_use(&one.0), waits]);
    drop(app);
    // and taken back before it ever signs
    place.config.tokens.signing_key = Some(one.1);
    let app = place.start().await.unwrap();
    assert_eq!(ids_and_states(&app).await, [in_use(&one.0)]);
    drop(app);
    // without the setting keys are made again
    place.config.tokens.signing_key = None;
    let app = place.start().await.unwrap();
    place.clock.advance(PUBLISHED_BEFORE);
    let keys = signing(&app).await;
    assert_eq!((&keys[0].id, keys[1].algorithm), (&one.0, "ES256"));
    assert_eq!(keys[1].state, KeyState::InUse);
    assert!(is_good(&app, &first) && is_good(&app, &token(&app)));
}

/// AT-06, AT-08
#[tokio::test]
async fn without_the_setting_the_key_that_it_gave_stops_signing() {
    let mut place = Place::new().await;
    let given = KeyMaterial::generate(Signs::Es256).unwrap();
    let kid = given.kid().unwrap();
    place.config.tokens.signing_key = Some(pem(&given));
    drop(place.start().await.unwrap());
    // the same algorithm as that of the keys that are made
    place.config.tokens.signing_key = None;
    for _ in 0..2 {
        let keys = ids_and_states(&place.start().await.unwrap()).await;
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0], (kid.clone(), KeyState::InUse));
    }
    place.clock.advance(PUBLISHED_BEFORE);
    let app = place.start().await.unwrap();
    let keys = ids_and_states(&app).await;
    assert_eq!(keys[0], (kid, KeyState::Retired));
    app.flows().rotate_signing_key().await.unwrap();
}

/// AT-08
#[tokio::test]
async fn after_the_clock_was_put_back_a_key_is_rotated_as_ever() {
    let ahead = UnixTime(NOW.0 + 365 * 24 * 3600);
    for waits in [false, true] {
        let mut place = Place::new().await;
        place.clock = Arc::new(ManualClock::at(ahead));
        let app = place.start().await.unwrap();
        if waits {
            app.flows().rotate_signing_key().await.unwrap();
        }
        drop(app);
        place.clock = Arc::new(ManualClock::at(NOW));
        let app = place.start().await.unwrap();
        let made = app.flows().rotate_signing_key().await.unwrap();
        assert_eq!(made.state, KeyState::Published, "{waits}");
        assert_eq!(made.until, Some(NOW + PUBLISHED_BEFORE));
        let again = app.flows().rotate_signing_key().await.unwrap();
        assert_eq!(again, made);
        place.clock.advance(PUBLISHED_BEFORE);
        let keys = signing(&app).await;
        assert_eq!((&keys[1].id, keys[1].state), (&made.id, KeyState::InUse));
    }
}

/// AT-08
#[tokio::test]
async fn what_was_signed_is_good_for_the_life_that_it_was_signed_for() {
    let mut place = Place::new().await;
    let app = place.start().await.unwrap();
    let first = token(&app);
    drop(app);
    place.config.tokens.access = Duration::from_secs(60);
    let app = place.start().await.unwrap();
    app.flows().rotate_signing_key().await.unwrap();
    drop(app);
    let app = place.start().await.unwrap();
    place
        .clock
        .advance(LIFE.saturating_sub(Duration::from_secs(1)));
    app.flows().tend_keys().await.unwrap();
    assert!(is_good(&app, &first));
}

/// AT-06
#[tokio::test]
async fn a_signing_key_that_cannot_be_used_stops_the_start_and_changes_nothing() {
    let mut place = Place::new().await;
    let before = ids_and_states(&place.start().await.unwrap()).await;
    for (text, said) in [
        ("", "openssl genpkey"),
        (
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
            "openssl pkcs8",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "P-256",
        ),
    ] {
        place.config.tokens.signing_key = Some(Secret::new(text));
        let refusal = place.refusal().await;
        assert!(refusal.starts_with("tokens.signing_key "), "{refusal}");
        assert!(refusal.contains(said), "{refusal}");
    }
    place.config.tokens.signing_key = None;
    let after = ids_and_states(&place.start().await.unwrap()).await;
    assert_eq!(after, before);
}

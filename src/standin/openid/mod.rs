//! The stand-in as a provider of `OpenID` Connect, with an issuer, people and a key of its own.

mod account;
mod authorize;
mod deviation;
mod id_token;
mod key;
mod metadata;
mod token;
mod userinfo;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};

use self::key::Key;
use crate::clock::{Clock, SystemClock, UnixTime};
use crate::protocol::pkce::Challenge;
use crate::standin::Shared;

pub use self::account::Account;
pub use self::deviation::Deviation;

/// The `OpenID` provider in the hands of a test.
pub struct OpenId(pub(super) Arc<Shared>);

impl OpenId {
    /// Its issuer, byte for byte.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.0.issuer()
    }

    /// By which clock tokens expire; the machine's where nothing is said.
    pub fn tell_time_by(&self, clock: Arc<dyn Clock>) {
        self.0.world().openid.clock = clock;
    }

    /// Changes an account: another address, out of a group, another's address.
    pub fn change(&self, login: &str, change: impl FnOnce(&mut Account)) {
        let mut world = self.0.world();
        let mut accounts = world.openid.accounts.iter_mut();
        if let Some(account) = accounts.find(|account| account.login == login) {
            change(account);
        }
    }

    /// From now on it does this otherwise, until the stand-in is healed.
    pub fn deviate(&self, how: Deviation) {
        self.0.world().openid.deviations.push(how);
    }

    /// How long access tokens live that are issued from now on; an hour where nothing is said.
    pub fn access_tokens_live(&self, life: Duration) {
        self.0.world().openid.access_life = life;
    }

    /// Signs with a new key from now on; the old one is published no longer.
    ///
    /// # Errors
    /// Where no key can be made.
    pub fn rotate_keys(&self) -> io::Result<()> {
        self.0.world().openid.key = made(Key::es256())?;
        Ok(())
    }

    /// The same, with RSA, as most providers do.
    ///
    /// # Errors
    /// Where no key can be made.
    pub fn sign_with_rsa(&self) -> io::Result<()> {
        self.0.world().openid.key = made(Key::rs256())?;
        Ok(())
    }

    /// The person takes back what they allowed: all their tokens end.
    pub fn revoke(&self, login: &str) {
        let mut world = self.0.world();
        let provider = &mut world.openid;
        if let Some(place) = provider.place_of(login) {
            provider.end_all_of(place);
        }
    }

    /// Whether any token of the person is in force.
    #[must_use]
    pub fn has_tokens(&self, login: &str) -> bool {
        let world = self.0.world();
        let provider = &world.openid;
        let place = provider.place_of(login);
        let now = provider.clock.now();
        let mut access = provider.access.values();
        let mut refresh = provider.refresh.values();
        access.any(|token| Some(token.grant.account) == place && now < token.expires)
            || refresh.any(|token| Some(token.grant.account) == place && !token.spent)
    }
}

/// All that the provider knows.
pub(super) struct Provider {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) accounts: Vec<Account>,
    key: Key,
    pub(super) codes: HashMap<String, Code>,
    pub(super) access: HashMap<String, AccessToken>,
    pub(super) refresh: HashMap<String, RefreshToken>,
    pub(super) deviations: Vec<Deviation>,
    pub(super) access_life: Duration,
}

/// What somebody allowed.
#[derive(Clone)]
pub(super) struct Grant {
    /// Their place among the accounts: it stays, whatever is changed of them.
    pub(super) account: usize,
    pub(super) scopes: Vec<String>,
}

pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    pub(super) challenge: Challenge,
    pub(super) nonce: String,
    /// Whether a refresh token was asked for.
    pub(super) offline: bool,
}

pub(super) struct AccessToken {
    pub(super) grant: Grant,
    pub(super) expires: UnixTime,
}

pub(super) struct RefreshToken {
    pub(super) grant: Grant,
    /// Kept, so that its second use is seen.
    pub(super) spent: bool,
}

impl Provider {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            clock: Arc::new(SystemClock),
            accounts: account::all(),
            key: made(Key::es256())?,
            codes: HashMap::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            deviations: Vec::new(),
            access_life: Duration::from_secs(3600),
        })
    }

    pub(super) fn deviates(&self, how: Deviation) -> bool {
        self.deviations.contains(&how)
    }

    pub(super) fn place_of(&self, login: &str) -> Option<usize> {
        let mut accounts = self.accounts.iter();
        accounts.position(|account| account.login == login)
    }

    pub(super) fn end_all_of(&mut self, account: usize) {
        self.codes.retain(|_, code| code.grant.account != account);
        self.access
            .retain(|_, token| token.grant.account != account);
        self.refresh
            .retain(|_, token| token.grant.account != account);
    }
}

fn made(key: Option<Key>) -> io::Result<Key> {
    key.ok_or_else(|| io::Error::other("no key can be made"))
}

/// The endpoints, below the path of the issuer.
pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(metadata::get))
        .route("/jwks", get(metadata::jwks))
        .route("/authorize", get(authorize::get).post(authorize::post))
        .route("/token", post(token::post))
        .route("/userinfo", get(userinfo::get).post(userinfo::get))
        .route("/revoke", post(token::revoke))
}

//! Dynamic client registration (RFC 7591): who may register, and for how long they are remembered.

use std::time::Duration;

use crate::event::Event;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{ClientId, Handle, Id};
use crate::protocol::register::{self, Fresh, Registration};
use crate::secret::Secret;

use super::{Failure, Flows, Registration as Mode};

/// Leave to register, once.
#[derive(Debug)]
pub struct MayRegister {
    /// Whether the operator gave it, with the initial access token.
    invited: bool,
}

/// A registration that breaks no rule, and is not kept yet.
#[derive(Debug)]
pub struct Checked {
    registration: Registration,
    invited: bool,
}

impl Checked {
    /// Whether it comes from somebody whom the operator gave the initial access token.
    #[must_use]
    pub fn is_invited(&self) -> bool {
        self.invited
    }
}

/// How many have registered of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rush {
    /// As many as usual.
    Calm,
    /// So many that it may be a flood.
    Crowded,
}

/// How long a client of a crowd is remembered that nobody signs in with. A sign-in may take 35 minutes of that: the page may
/// be open for 15, the provider take 10, and the code be redeemed within 10.
const CROWDED: Duration = Duration::from_secs(60 * 60);

impl Flows {
    /// Whether somebody may register: anybody, whoever presents the initial access token (RFC 7591 §3), or nobody.
    ///
    /// # Errors
    /// `invalid_token`, whether there is none or a wrong one; `access_denied` where nobody may.
    pub fn admit_registration(&self, presented: Option<&Secret>) -> Result<MayRegister, Failure> {
        let refused = match (&self.admission.registration, presented) {
            (Mode::Open, _) => return Ok(MayRegister { invited: false }),
            (Mode::Token(token), Some(presented)) if token.matches(presented) => {
                return Ok(MayRegister { invited: true });
            }
            (Mode::Token(_), Some(_)) => WRONG_TOKEN,
            (Mode::Token(_), None) => NO_TOKEN,
            (Mode::Off, _) => OFF,
        };
        Event::RegistrationRefused { error: &refused }.tell();
        Err(refused.into())
    }

    /// What a client says of itself, by the rules.
    ///
    /// # Errors
    /// What is wrong with it, by field and rule.
    pub fn check_registration(&self, may: &MayRegister, body: &[u8]) -> Result<Checked, Failure> {
        let now = self.now();
        let id = ClientId::new(Id::new(now).to_string());
        let fresh = Fresh {
            uri: self.registration_uri(&id),
            id,
            secret: Handle::new(now).clear,
            access: Handle::new(now).clear,
            issuer: self.issuer.as_str().to_owned(),
            now,
        };
        let registration = register::register(body, &self.resources.scopes(), fresh)
            .and_then(|asked| asked.keep_to_hosts(&self.admission.redirect_hosts))
            .and_then(|asked| self.admission.check_keys(&asked.client).map(|()| asked))
            .inspect_err(tell)?;
        Ok(Checked {
            registration,
            invited: may.invited,
        })
    }

    /// Registers a client; it is forgotten again unless somebody signs in with it.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn register(&self, checked: Checked, rush: Rush) -> Result<Registration, Failure> {
        let (now, registration) = (self.now(), checked.registration);
        let unused = match rush {
            Rush::Calm => self.lifetimes.unused_client,
            Rush::Crowded => self.lifetimes.unused_client.min(CROWDED),
        };
        self.store
            .put_client(registration.client.clone(), now + unused)
            .await?;
        Event::ClientRegistered {
            client: &registration.client.id,
        }
        .tell();
        Ok(registration)
    }

    /// Where a client manages its registration (RFC 7592 §3).
    pub(super) fn registration_uri(&self, id: &ClientId) -> String {
        self.issuer.url(&format!("/register/{id}"))
    }
}

/// The log says the words that the client reads.
pub(super) fn tell(refused: &OAuthError) {
    Event::RegistrationRefused { error: refused }.tell();
}

const NO_TOKEN: OAuthError = OAuthError {
    code: ErrorCode::InvalidToken,
    description: "registration needs an initial access token: Authorization: Bearer and the token",
};
const WRONG_TOKEN: OAuthError = OAuthError {
    code: ErrorCode::InvalidToken,
    description: "the initial access token is not the one that registers here",
};
const OFF: OAuthError = OAuthError {
    code: ErrorCode::AccessDenied,
    description: "clients cannot register themselves here",
};

//! The authorization request (RFC 6749 §4.1.1): checked, and turned into a question to the person.
//!
//! Nothing is stored before the person has agreed: the request travels through the consent page as a sealed ticket,
//! so that a flood of authorization requests fills nothing.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::protocol::authorize::{self, Refusal};
use crate::protocol::client::Client;
use crate::protocol::consent::{Agreement, Familiarity};
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::form::Form;
use crate::protocol::ids::{ProviderId, Subject};
use crate::protocol::session::{AuthorizationRequest, SignInFor};
use crate::seal::{Purpose, Sealed};
use crate::secret::SecretDigest;
pub use crate::upstream::Upstream;

use super::client::Need;
use super::{Failure, Flows};

/// How long a consent page can be answered.
const TICKET: Duration = Duration::from_secs(15 * 60);

/// Who comes with an authorization request, as far as the browser tells.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The browser: digest of the cookie that its forms are bound to.
    pub browser: SecretDigest,
    /// The address that it comes from.
    pub address: IpAddr,
    /// Who signed in with this browser last.
    pub person: Option<Subject>,
}

/// What the person is asked.
#[derive(Debug)]
pub struct Question {
    /// Who asks.
    pub client: Client,
    /// For what.
    pub request: AuthorizationRequest,
    /// Whether they agreed to the same before.
    pub familiarity: Familiarity,
    /// Where they signed in last.
    pub provider: Option<ProviderId>,
    /// The same, sealed, for the form.
    pub ticket: String,
}

/// What a person was asked, and how.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// For what.
    pub(super) request: AuthorizationRequest,
    /// How they agree, if they do.
    pub(super) agreement: Agreement,
    /// Whose consent is to be forgotten if they say no.
    pub(super) known: Option<Subject>,
}

/// Where the page of a consent form was shown.
#[derive(Debug)]
pub enum Shown {
    /// In the browser that hands in the form: it decides.
    Here(Asked),
    /// With another cookie. Two tabs that open at once, in a browser that was never here, are given one each, and the
    /// last is kept: a dead end for the other tab, if the person were not asked again.
    Elsewhere(AuthorizationRequest),
}

/// An authorization request on its way through the consent page. Sealed: who the person is stays unread on a shared computer.
#[derive(Debug, Serialize, Deserialize)]
struct Ticket {
    /// What was asked.
    asked: Asked,
    /// The browser that the page was shown in.
    browser: SecretDigest,
    /// When the page is too old.
    expires: UnixTime,
}

/// Why an authorization request is not put to the person.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stop {
    /// The request is refused; the refusal says who is told.
    Refused(Refusal),
    /// An incident of ours, shown to the person.
    Incident(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(failure: E) -> Self {
        match failure.into() {
            Failure::Refused(error) => Self::Refused(Refusal::Page(error)),
            incident => Self::Incident(incident),
        }
    }
}

impl Asked {
    /// What was asked.
    #[must_use]
    pub fn request(&self) -> &AuthorizationRequest {
        &self.request
    }

    /// What somebody who agrees signs in for.
    #[must_use]
    pub fn purpose(self) -> SignInFor {
        SignInFor::Client {
            request: Box::new(self.request),
            agreement: self.agreement,
        }
    }
}

impl Flows {
    /// Reads an authorization request: the client first, then its redirect URI, then the rest, so that nobody is ever
    /// sent to an address that was not registered (OAuth 2.1 §4.1.2.1).
    ///
    /// # Errors
    /// A refusal for the person or for the client; or an incident.
    pub async fn begin_authorization(
        &self,
        query: &[u8],
        visitor: &Visitor,
    ) -> Result<Question, Stop> {
        let form = Form::parse(query)?;
        let id = authorize::client_id(&form)?;
        let client = self.find_client(&id, Need::Fresh(visitor.address)).await?;
        let client = client.ok_or(UNKNOWN_CLIENT)?.client;
        let request = self.requested(&form, &client, visitor).await?;
        let familiarity = self.familiarity(&request, visitor).await?;
        Ok(self.ask(client, request, familiarity, visitor)?)
    }

    /// Puts a request anew to the person, on a page for the browser that they have now.
    ///
    /// # Errors
    /// Where the client is gone, or is not what it was when it asked; or an incident.
    pub async fn ask_anew(
        &self,
        request: AuthorizationRequest,
        visitor: &Visitor,
    ) -> Result<Question, Failure> {
        let client = self.find_client(&request.client_id, Need::Here).await?;
        let client = client.ok_or(UNKNOWN_CLIENT)?.client;
        if client.fingerprint() != request.fingerprint {
            return Err(CHANGED.into());
        }
        self.check_served(&request)?;
        let familiarity = self.familiarity(&request, visitor).await?;
        Ok(self.ask(client, request, familiarity, visitor)?)
    }

    /// Puts a request to the person.
    fn ask(
        &self,
        client: Client,
        request: AuthorizationRequest,
        familiarity: Familiarity,
        visitor: &Visitor,
    ) -> Result<Question, OAuthError> {
        let known = visitor.person.clone();
        let known = known.filter(|_| familiarity != Familiarity::New);
        let ticket = Ticket {
            asked: Asked {
                request,
                agreement: match (&familiarity, &known) {
                    (Familiarity::Remembered { .. }, Some(known)) => {
                        Agreement::Short(known.clone())
                    }
                    _ => Agreement::Whole,
                },
                known,
            },
            browser: visitor.browser,
            expires: self.now() + TICKET,
        };
        let clear = postcard::to_allocvec(&ticket).map_err(|_| NOT_OUR_FORM)?;
        let sealed = self.sealer.seal(Purpose::ConsentTicket, b"", &clear);
        Ok(Question {
            client,
            request: ticket.asked.request,
            familiarity,
            provider: self.provider_of(visitor),
            ticket: sealed.to_text(),
        })
    }

    /// What a consent form asked, if we made the form, and not too long ago.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn read_form(&self, ticket: &str, browser: SecretDigest) -> Result<Shown, OAuthError> {
        let clear = Sealed::from_text(ticket)
            .and_then(|sealed| self.sealer.open(Purpose::ConsentTicket, b"", &sealed).ok())
            .ok_or(NOT_OUR_FORM)?;
        let ticket: Ticket = postcard::from_bytes(&clear).map_err(|_| NOT_OUR_FORM)?;
        if ticket.expires <= self.now() {
            return Err(TOO_OLD);
        }
        // A4: a form that was made for one browser decides nothing in another
        Ok(if browser == ticket.browser {
            Shown::Here(ticket.asked)
        } else {
            Shown::Elsewhere(ticket.asked.request)
        })
    }

    /// The providers that the person can choose from.
    pub fn providers(&self) -> impl Iterator<Item = &dyn Upstream> {
        self.upstreams.iter().map(AsRef::as_ref)
    }
}

pub(super) const UNKNOWN_CLIENT: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "no such client: its registration has expired or was made elsewhere; remove the connection in the \
                  app and add it again",
};
const NOT_OUR_FORM: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the form is damaged or was made before a restart; start again from the app",
};
const CHANGED: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the app has changed since this page was opened; start again from the app",
};
/// A form, or a provider's answer, of a sign-in that another browser began.
pub const OTHER_BROWSER: OAuthError = OAuthError {
    code: ErrorCode::AccessDenied,
    description: "this sign-in was begun in another browser, or cookies are blocked; start again from the app",
};
const TOO_OLD: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the page was open for too long; start again from the app",
};

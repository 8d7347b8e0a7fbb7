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
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::form::Form;
use crate::protocol::ids::Subject;
use crate::protocol::session::AuthorizationRequest;
use crate::seal::{Purpose, Sealed};
use crate::secret::SecretDigest;
use crate::upstream::Upstream;

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
    /// Whether the person came by themselves, and no page of another site sent them (`Sec-Fetch-Site`).
    pub unprompted: bool,
}

/// What the person is asked.
#[derive(Debug)]
pub struct Question {
    /// Who asks.
    pub client: Client,
    /// For what.
    pub request: AuthorizationRequest,
    /// The same, sealed, for the form.
    pub ticket: String,
}

/// An authorization request on its way through the consent page.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ticket {
    /// What was asked.
    pub(super) request: AuthorizationRequest,
    /// The browser that the page was shown in.
    pub(super) browser: SecretDigest,
    /// When the page is too old.
    pub(super) expires: UnixTime,
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
        let ticket = Ticket {
            request,
            browser: visitor.browser,
            expires: self.now() + TICKET,
        };
        let clear = postcard::to_allocvec(&ticket).map_err(|_| NOT_OUR_FORM)?;
        Ok(Question {
            client,
            ticket: self
                .sealer
                .seal(Purpose::ConsentTicket, b"", &clear)
                .to_text(),
            request: ticket.request,
        })
    }

    /// The request of a consent form, if we made the form, for this browser, and not too long ago.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn read_form(
        &self,
        ticket: &str,
        browser: Option<SecretDigest>,
    ) -> Result<AuthorizationRequest, OAuthError> {
        let clear = Sealed::from_text(ticket)
            .and_then(|sealed| self.sealer.open(Purpose::ConsentTicket, b"", &sealed).ok())
            .ok_or(NOT_OUR_FORM)?;
        let ticket: Ticket = postcard::from_bytes(&clear).map_err(|_| NOT_OUR_FORM)?;
        // A4: a form that was made for one browser is refused in another
        if browser != Some(ticket.browser) {
            return Err(OTHER_BROWSER);
        }
        if ticket.expires <= self.now() {
            return Err(TOO_OLD);
        }
        Ok(ticket.request)
    }

    /// The providers that the person can choose from.
    pub fn providers(&self) -> impl Iterator<Item = &dyn Upstream> {
        self.upstreams.iter().map(AsRef::as_ref)
    }
}

const UNKNOWN_CLIENT: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "no such client: its registration has expired or was made elsewhere; remove the connection in the \
                  app and add it again",
};
const NOT_OUR_FORM: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "the form is damaged or was made before a restart; start again from the app",
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

//! The provider's answer: who signed in, and a code for the client (RFC 6749 §4.1.2).

use std::time::Duration;

use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::event::Event;
use crate::protocol::authorize::ReturnAddress;
use crate::protocol::consent::Agreement;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::ids::{Handle, Id, ProviderId, Subject};
use crate::protocol::session::{
    AuthorizationRequest, IssuedCode, PendingSignIn, Session, SignInFor,
};
use crate::seal::Purpose;
use crate::secret::{Secret, SecretDigest};
pub use crate::upstream::NotAllowed;
use crate::upstream::{Back, Kept, SignIn, UpstreamError};

use super::authorize::OTHER_BROWSER;
use super::client::FoundClient;
use super::consent::ForClient;
use super::grant::Entry;
use super::{Failure, Flows};

/// How long all that is asked of a provider may take together: less than a request may.
const ASKING: Duration = Duration::from_secs(20);

/// What a browser brings back from a provider.
#[derive(Debug)]
pub struct Return {
    /// The provider whose callback it is.
    pub provider: ProviderId,
    /// `state`
    pub state: Option<Secret>,
    /// `code`
    pub code: Option<Secret>,
    /// `iss` (RFC 9207)
    pub iss: Option<String>,
    /// `error`
    pub error: Option<String>,
    /// The cookie that was set when the person agreed.
    pub binding: Option<SecretDigest>,
}

/// How a sign-in ended.
#[derive(Debug)]
pub enum Arrival {
    /// Somebody signed in, and the client gets a code.
    SignedIn(Box<ForClient>, Subject),
    /// The client gets an error.
    Failed(Box<ForClient>),
    /// Something went wrong here, once it was known whose answer this is: the client, which waits for one, gets
    /// `server_error` (AUTHZ-18).
    Broken(Box<ForClient>, Failure),
    /// The person may not enter, and is told why; the address takes the refusal back to the client.
    Refused {
        /// Which provider they signed in with.
        provider: String,
        /// Why not.
        why: Box<NotAllowed>,
        /// Back to the client, as `access_denied`.
        back: String,
    },
}

impl Flows {
    /// Finishes a sign-in: find what was approved, take it (one caller gets it), see that it is the same browser
    /// (CONS-11), ask the provider who it is, see that the client is still the one that was approved, keep session and
    /// code, answer the client. Everything but the provider's answer comes from what was kept (CONS-12).
    ///
    /// # Errors
    /// Where the answer belongs to nothing that was approved in this browser, or its client has changed since or is gone;
    /// or an incident.
    pub async fn finish_sign_in(&self, back: Return) -> Result<Arrival, Failure> {
        let (id, pending) = self.take_pending(&back).await?;
        let SignInFor::Client { request, agreement } = pending.purpose.clone() else {
            return Err(NOTHING_PENDING.into());
        };
        let client = request.client_id.clone();
        let address = ReturnAddress::new(
            request.redirect.clone(),
            request.state.clone(),
            self.issuer.as_str(),
        );
        let approved = Approved {
            request: *request,
            agreement,
        };
        match self.arrive(id, pending, approved, back, &address).await {
            Err(refused @ Failure::Refused(_)) => Err(refused),
            Err(Failure::Denied(denied)) => {
                let url = address.refuse(&denied);
                Ok(Arrival::Failed(Box::new(ForClient {
                    client,
                    address,
                    url,
                })))
            }
            Err(incident) => {
                let url = address.refuse(&BROKEN);
                let answer = ForClient {
                    client,
                    address,
                    url,
                };
                Ok(Arrival::Broken(Box::new(answer), incident))
            }
            arrival => arrival,
        }
    }

    async fn arrive(
        &self,
        id: Id,
        pending: PendingSignIn,
        approved: Approved,
        back: Return,
        address: &ReturnAddress,
    ) -> Result<Arrival, Failure> {
        let client = approved.request.client_id.clone();
        let signed_in = match (back.error, back.code) {
            (Some(error), _) => Err(provider_refused(&pending, code_of(&error))),
            (None, Some(code)) => {
                let iss = back.iss;
                self.ask_provider(id, &pending, Back { code, iss }).await?
            }
            (None, None) => Err(provider_refused(&pending, "neither code nor error")),
        };
        let known = self.unchanged(&approved.request).await?;
        let answer = |url: String| {
            Box::new(ForClient {
                client,
                url,
                address: address.clone(),
            })
        };
        match signed_in {
            Ok(sign_in) => {
                let person = sign_in.vouched.identity.subject.clone();
                let code = self.issue_code(known, &pending, approved, sign_in).await?;
                Ok(Arrival::SignedIn(answer(address.answer(&code)), person))
            }
            Err(Unsuccessful::Client(error)) => Ok(Arrival::Failed(answer(address.refuse(&error)))),
            Err(Unsuccessful::NotAllowed(why)) => {
                let denied = ErrorCode::AccessDenied.with("the person may not enter here");
                Ok(Arrival::Refused {
                    provider: self.label(&pending.provider),
                    why,
                    back: address.refuse(&denied),
                })
            }
        }
    }

    /// The approved request that an answer belongs to. A wrong `state` takes nothing away from anybody; a right one in
    /// a wrong browser burns it (A3): it was stolen.
    async fn take_pending(&self, back: &Return) -> Result<(Id, PendingSignIn), Failure> {
        let handle = back
            .state
            .as_ref()
            .and_then(|state| Handle::parse(state.expose()))
            .ok_or(NOTHING_PENDING)?;
        let now = self.now();
        let found = self.store.find_pending(handle.id, now).await?;
        let pending = found
            .filter(|pending| pending.state == handle.digest() && pending.provider == back.provider)
            .ok_or(NOTHING_PENDING)?;
        if self.store.take_pending(handle.id, now).await?.is_none() {
            return Err(NOTHING_PENDING.into());
        }
        if back.binding != Some(pending.browser) {
            if let SignInFor::Client { request, .. } = &pending.purpose {
                Event::OtherBrowser {
                    client: &request.client_id,
                }
                .tell();
            }
            return Err(OTHER_BROWSER.into());
        }
        Ok((handle.id, pending))
    }

    async fn ask_provider(
        &self,
        id: Id,
        pending: &PendingSignIn,
        back: Back,
    ) -> Result<Result<SignIn, Unsuccessful>, Failure> {
        let kept: Zeroizing<Vec<u8>> =
            self.sealer
                .open(Purpose::PendingSignIn, id.as_bytes(), &pending.upstream)?;
        let (Some(kept), Some(upstream)) =
            (Kept::from_bytes(&kept), self.upstream(&pending.provider))
        else {
            return Ok(Err(provider_refused(pending, "no longer configured")));
        };
        let finished = timeout(ASKING, upstream.finish(back, kept)).await;
        Ok(finished
            .unwrap_or_else(|_| Err(UpstreamError::Unavailable("it took too long".to_owned())))
            .map_err(|error| match error {
                UpstreamError::NotAllowed(why) => {
                    if let SignInFor::Client { request, .. } = &pending.purpose {
                        Event::SignInRefused {
                            provider: &pending.provider,
                            client: &request.client_id,
                        }
                        .tell();
                    }
                    Unsuccessful::NotAllowed(why)
                }
                UpstreamError::Unavailable(cause) => {
                    tell_failed(&pending.provider, &cause);
                    Unsuccessful::Client(
                        ErrorCode::TemporarilyUnavailable.with(
                            "the provider of the sign-in is not available now; try again later",
                        ),
                    )
                }
                UpstreamError::Invalid(cause) | UpstreamError::Ended(cause) => {
                    provider_refused(pending, &cause)
                }
            }))
    }

    fn label(&self, provider: &ProviderId) -> String {
        self.upstream(provider).map_or_else(
            || provider.to_string(),
            |upstream| upstream.label().to_owned(),
        )
    }

    /// Keeps the session, not yet in force, and the code that opens it: both or neither, and durable before the
    /// browser is sent back.
    async fn issue_code(
        &self,
        known: Option<FoundClient>,
        pending: &PendingSignIn,
        approved: Approved,
        sign_in: SignIn,
    ) -> Result<Secret, Failure> {
        let now = self.now();
        let subject = sign_in.vouched.identity.subject.clone();
        let consent = self.consent_to(&approved, &subject).await?;
        let code = Handle::new(now);
        let session = Id::new(now);
        let AuthorizationRequest {
            client_id,
            resource,
            scopes,
            ..
        } = approved.request.clone();
        let expires = now + self.lifetimes.code;
        let session = Session {
            id: session,
            subject: subject.clone(),
            client_name: known.as_ref().and_then(|known| known.client.name.clone()),
            client_host: approved.request.redirect.shown_host(),
            client_id: client_id.clone(),
            resource,
            scopes,
            created: now,
            used: now,
            refresh: None,
            expires,
        };
        let issued = IssuedCode {
            digest: code.digest(),
            session: session.id,
            request: approved.request,
            spent: false,
            expires,
        };
        if let Some(known) = &known {
            self.keep_client(known).await?;
        }
        let session_id = session.id;
        let entry = Entry {
            id: code.id,
            code: issued,
            session,
            consent,
        };
        self.keep_sign_in(entry, &pending.provider, sign_in).await?;
        Event::CodeIssued {
            client: &client_id,
            subject: &subject,
            session: session_id,
        }
        .tell();
        Ok(code.clear)
    }
}

/// An `error` of the provider in our words: what it sent is never reflected (CONS-21).
fn provider_refused(pending: &PendingSignIn, error: &str) -> Unsuccessful {
    Unsuccessful::Client(match error {
        "access_denied" => {
            if let SignInFor::Client { request, .. } = &pending.purpose {
                Event::ConsentDenied {
                    client: &request.client_id,
                }
                .tell();
            }
            ErrorCode::AccessDenied.with("the person said no at the provider")
        }
        "temporarily_unavailable" => {
            tell_failed(&pending.provider, error);
            ErrorCode::TemporarilyUnavailable
                .with("the provider of the sign-in is not available now; try again later")
        }
        cause => {
            tell_failed(&pending.provider, cause);
            ErrorCode::ServerError.with("the sign-in failed at the provider")
        }
    })
}

fn tell_failed(provider: &ProviderId, cause: &str) {
    Event::UpstreamFailed { provider, cause }.tell();
}

/// An `error` as a browser brings it: a code (RFC 6749 §4.1.2.1), or else somebody's words, which are not for the log.
fn code_of(error: &str) -> &str {
    let is_code = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if error.len() <= 64 && error.bytes().all(is_code) {
        error
    } else {
        "an error that is no code"
    }
}

/// What a person agreed to before they went to the provider.
pub(super) struct Approved {
    /// What.
    pub(super) request: AuthorizationRequest,
    /// How.
    pub(super) agreement: Agreement,
}

/// Why nobody is signed in.
enum Unsuccessful {
    Client(OAuthError),
    NotAllowed(Box<NotAllowed>),
}

const BROKEN: OAuthError = OAuthError {
    code: ErrorCode::ServerError,
    description: "something went wrong on this server; try again in a few minutes",
};
const NOTHING_PENDING: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "this sign-in is not known here: it took too long, was used before, or did not begin here; start \
                  again from the app",
};

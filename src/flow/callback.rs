//! The provider's answer: who signed in and, where it was for a client, a code for it (RFC 6749 §4.1.2).

use std::sync::Arc;

use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::event::Event;
use crate::protocol::consent::Agreement;
use crate::protocol::error::{ErrorCode, OAuthError};
use crate::protocol::identity::Identity;
use crate::protocol::ids::{ClientId, Handle, Id, ProviderId, Subject};
use crate::protocol::session::{
    AuthorizationRequest, IssuedCode, PendingSignIn, Session, SignInFor,
};
use crate::seal::Purpose;
use crate::secret::{Secret, SecretDigest};
pub use crate::upstream::NotAllowed;
use crate::upstream::{Back, Kept, Remedy, SignIn, Unused, UpstreamError};

use super::account::{Visit, account_of};
use super::authorize::OTHER_BROWSER;
use super::client::FoundClient;
use super::consent::{ForClient, Waiting};
use super::departure::{ASKING, ProviderFault, too_slow};
use super::grant::Entry;
use super::{Failure, Flows, to_the_end};

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
    /// The cookie that was set when the person left for the provider.
    pub binding: Option<SecretDigest>,
}

/// How a sign-in ended.
#[derive(Debug)]
pub enum Arrival {
    /// Somebody signed in, and the client gets a code.
    Connected(Box<ForClient>, Subject),
    /// Somebody signed in to see what is connected.
    Visiting(Visit),
    /// The person said no at the provider, or the provider did not let them go on: a client that waits is told.
    Declined {
        /// Which provider.
        provider: String,
        /// What the client is told, if one waits.
        back: Option<Box<ForClient>>,
    },
    /// The provider failed: the person is told, and takes the error back to the client, if one waits.
    ProviderFailed(ProviderFault, Option<Box<ForClient>>),
    /// Something went wrong here, once it was known whose answer this is: the client, which waits for one, gets
    /// `server_error` (AUTHZ-18).
    Broken(Box<ForClient>, Failure),
    /// The person may not enter, and is told why.
    Refused {
        /// Which provider they signed in with.
        provider: String,
        /// Why not.
        why: Box<NotAllowed>,
        /// Back to the client, if one waits, as `access_denied`.
        back: Option<String>,
    },
}

impl Flows {
    /// Finishes a sign-in: find what was begun, take it (one caller gets it), see that it is the same browser (CONS-11), ask
    /// the provider who it is. What then follows depends on what they signed in for. Everything but the provider's answer
    /// comes from what was kept (CONS-12).
    ///
    /// # Errors
    /// Where the answer belongs to nothing that was begun in this browser, or its client has changed since or is gone; or an
    /// incident.
    pub async fn finish_sign_in(self: &Arc<Self>, back: Return) -> Result<Arrival, Failure> {
        let (id, pending) = self.take_pending(&back).await?;
        let flows = Arc::clone(self);
        // a task of its own: what the provider gives is kept, or given back, even where the browser hangs up
        let arriving = async move { flows.arrive(id, pending, back).await };
        to_the_end("a sign-in broke off", arriving).await
    }

    async fn arrive(
        &self,
        id: Id,
        pending: PendingSignIn,
        back: Return,
    ) -> Result<Arrival, Failure> {
        // before: who has nobody to sign in for asks the provider for nothing
        let outcome = match self.is_still_wanted(&pending).await {
            Ok(()) => self.ask_provider(id, &pending, back).await,
            Err(failure) => Err(failure),
        };
        match pending.purpose {
            SignInFor::Client { request, agreement } => {
                let request = *request;
                let approved = Approved { request, agreement };
                self.arrive_for_client(approved, &pending.provider, outcome)
                    .await
            }
            SignInFor::Account => Ok(self.arrive_for_account(&pending.provider, outcome?)),
        }
    }

    /// That the client is still the one that was approved, where it is for one, and what it asks for is still served.
    async fn is_still_wanted(&self, pending: &PendingSignIn) -> Result<(), Failure> {
        match &pending.purpose {
            SignInFor::Client { request, .. } => {
                self.check_served(request)?;
                self.unchanged(request).await.map(drop)
            }
            SignInFor::Account => Ok(()),
        }
    }

    /// Sees that the client is still the one that was approved, keeps session and code, answers the client.
    async fn arrive_for_client(
        &self,
        approved: Approved,
        provider: &ProviderId,
        outcome: Result<Outcome, Failure>,
    ) -> Result<Arrival, Failure> {
        let waiting = self.waiting(&approved.request);
        let arrival = match outcome {
            Ok(outcome) => self.connect(approved, provider, outcome, &waiting).await,
            Err(incident) => Err(incident),
        };
        match arrival {
            Err(refused @ Failure::Refused(_)) => Err(refused),
            Err(incident) => Ok(Arrival::Broken(Box::new(waiting.told(&BROKEN)), incident)),
            arrival => arrival,
        }
    }

    async fn connect(
        &self,
        approved: Approved,
        provider: &ProviderId,
        outcome: Outcome,
        waiting: &Waiting,
    ) -> Result<Arrival, Failure> {
        let unsuccessful = match outcome {
            Ok(sign_in) => {
                return self.let_in(approved, provider, sign_in, waiting).await;
            }
            Err(unsuccessful) => unsuccessful,
        };
        self.unchanged(&approved.request).await?;
        let told = |error: OAuthError| Box::new(waiting.told(&error));
        Ok(match unsuccessful {
            Unsuccessful::Declined => {
                Event::ConsentDenied {
                    client: &approved.request.client_id,
                }
                .tell();
                Arrival::Declined {
                    provider: self.label(provider),
                    back: Some(told(DECLINED)),
                }
            }
            Unsuccessful::ProviderFailed(fault) => {
                let error = fault.kind.error();
                Arrival::ProviderFailed(fault, Some(told(error)))
            }
            Unsuccessful::NotAllowed(why) => {
                let denied = ErrorCode::AccessDenied.with("the person may not enter here");
                Arrival::Refused {
                    provider: self.label(provider),
                    why,
                    back: Some(told(denied).url),
                }
            }
        })
    }

    /// Keeps a sign-in and answers the client. Of one that is not kept, the provider gets its tokens back.
    async fn let_in(
        &self,
        approved: Approved,
        provider: &ProviderId,
        sign_in: SignIn,
        waiting: &Waiting,
    ) -> Result<Arrival, Failure> {
        let (tokens, identity) = (sign_in.tokens.clone(), sign_in.vouched.identity.clone());
        let person = identity.subject.clone();
        let app = approved.request.redirect.shown_host();
        // once more: asking the provider took its time
        let issued = match self.unchanged(&approved.request).await {
            Ok(known) => self.issue_code(known, provider, approved, sign_in).await,
            Err(failure) => Err(failure),
        };
        if issued.is_err() {
            self.vouching.give_back_unkept(provider, &person, tokens);
        }
        match issued {
            Ok(code) => Ok(Arrival::Connected(Box::new(waiting.given(&code)), person)),
            Err(Failure::Denied(denied)) => Ok(Arrival::Refused {
                provider: self.label(provider),
                why: Box::new(nothing_open(identity, &app)),
                back: Some(waiting.told(&denied).url),
            }),
            Err(failure) => Err(failure),
        }
    }

    /// What was begun and belongs to an answer. A wrong `state` takes nothing away from anybody; a right one in
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
            Event::OtherBrowser {
                client: client_of(&pending),
            }
            .tell();
            return Err(OTHER_BROWSER.into());
        }
        Ok((handle.id, pending))
    }

    /// Who signed in, or why nobody did.
    async fn ask_provider(
        &self,
        id: Id,
        pending: &PendingSignIn,
        back: Return,
    ) -> Result<Outcome, Failure> {
        let provider = &pending.provider;
        let failed = |error| Err(Unsuccessful::ProviderFailed(self.fault(provider, error)));
        let code = match (back.error, back.code) {
            (Some(error), _) if error == "access_denied" => {
                // the person's no, or a rule of the provider: it does not say which
                tracing::info!(%provider, cause = "access_denied", "{}", DECLINED.description);
                return Ok(Err(Unsuccessful::Declined));
            }
            (Some(error), _) => return Ok(failed(said(&error))),
            (None, None) => {
                let neither = "neither code nor error".to_owned();
                return Ok(failed(UpstreamError::Invalid(neither)));
            }
            (None, Some(code)) => code,
        };
        let kept: Zeroizing<Vec<u8>> =
            self.sealer
                .open(Purpose::PendingSignIn, id.as_bytes(), &pending.upstream)?;
        let (Some(kept), Some(upstream)) = (Kept::from_bytes(&kept), self.upstream(provider))
        else {
            let gone = "no longer configured".to_owned();
            return Ok(failed(UpstreamError::Invalid(gone)));
        };
        let iss = back.iss;
        let finished = timeout(ASKING, upstream.finish(Back { code, iss }, kept)).await;
        Ok(match finished.unwrap_or_else(|_| Err(too_slow())) {
            Ok(sign_in) => Ok(sign_in),
            Err(UpstreamError::NotAllowed(why, unused)) => {
                if let Some(unused) = unused {
                    let Unused { person, tokens } = *unused;
                    self.vouching.give_back_unkept(provider, &person, tokens);
                }
                Event::SignInRefused {
                    provider,
                    client: client_of(pending),
                }
                .tell();
                Err(Unsuccessful::NotAllowed(why))
            }
            Err(error) => failed(error),
        })
    }

    /// Keeps the session, not yet in force, and the code that opens it: both or neither, and durable before the
    /// browser is sent back.
    async fn issue_code(
        &self,
        known: Option<FoundClient>,
        provider: &ProviderId,
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
        self.keep_sign_in(entry, provider, sign_in).await?;
        Event::CodeIssued {
            client: &client_id,
            subject: &subject,
            session: session_id,
        }
        .tell();
        Ok(code.clear)
    }
}

/// An `error` that a browser brings from the provider, in our words: what the provider sent is never reflected (CONS-21).
fn said(error: &str) -> UpstreamError {
    let is_code = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    match error {
        "temporarily_unavailable" => UpstreamError::Unavailable(error.to_owned()),
        // a code (RFC 6749 §4.1.2.1), or else somebody's words, which are not for the log
        code if code.len() <= 64 && code.bytes().all(is_code) => {
            UpstreamError::Invalid(code.to_owned())
        }
        _ => UpstreamError::Invalid("an error that is no code".to_owned()),
    }
}

fn client_of(pending: &PendingSignIn) -> Option<&ClientId> {
    match &pending.purpose {
        SignInFor::Client { request, .. } => Some(&request.client_id),
        SignInFor::Account => None,
    }
}

/// What a person agreed to before they went to the provider.
pub(super) struct Approved {
    /// What.
    pub(super) request: AuthorizationRequest,
    /// How.
    pub(super) agreement: Agreement,
}

/// Who signed in, or why nobody did.
pub(super) type Outcome = Result<SignIn, Unsuccessful>;

/// Why nobody is signed in.
pub(super) enum Unsuccessful {
    /// They said no at the provider, or it did not let them go on.
    Declined,
    /// The provider failed.
    ProviderFailed(ProviderFault),
    /// They may not enter.
    NotAllowed(Box<NotAllowed>),
}

/// Why somebody may not enter to whom nothing is open of what an app asks for.
fn nothing_open(identity: Identity, app: &str) -> NotAllowed {
    NotAllowed {
        account: account_of(identity),
        reasons: vec![format!(
            "None of what the app at {app} asks for is open to you."
        )],
        remedies: vec![Remedy {
            text: "Ask whoever runs this server to open it to you, then connect the app again."
                .to_owned(),
            link: None,
        }],
    }
}

const DECLINED: OAuthError = OAuthError {
    code: ErrorCode::AccessDenied,
    description: "the sign-in was refused at the provider, or the person said no",
};
const BROKEN: OAuthError = OAuthError {
    code: ErrorCode::ServerError,
    description: "something went wrong on this server; try again in a few minutes",
};
const NOTHING_PENDING: OAuthError = OAuthError {
    code: ErrorCode::InvalidRequest,
    description: "this sign-in is not known here: it took too long, was used before, or did not begin here; start \
                  again from the app",
};

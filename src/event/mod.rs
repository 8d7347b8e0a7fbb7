//! Everything worth telling an operator, one variant each: the audit log.

mod causes;
mod fields;
mod grant_news;

use std::net::IpAddr;

use tracing::Level;

use crate::protocol::error::OAuthError;
use crate::protocol::ids::{ClientId, Id, ProviderId, Subject};

use fields::{Escaped, Fields, Kind};

pub use causes::Causes;
pub use grant_news::GrantNews;

/// Something that happened. Identifiers and fixed words alone: no token, code, secret, login or e-mail address can be
/// put into one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A client registered itself.
    ClientRegistered {
        /// Its new identifier.
        client: &'a ClientId,
    },
    /// A registration broke a rule.
    RegistrationRefused {
        /// Which rule.
        error: &'a OAuthError,
    },
    /// A client changed its registration (RFC 7592).
    RegistrationChanged {
        /// Which client.
        client: &'a ClientId,
    },
    /// A client removed its registration (RFC 7592).
    RegistrationRemoved {
        /// Which client.
        client: &'a ClientId,
    },
    /// The operator removed a client.
    ClientRemoved {
        /// Which client.
        client: &'a ClientId,
    },
    /// The document of a client breaks a rule.
    DocumentRefused {
        /// Which client.
        client: &'a ClientId,
        /// Which rule.
        error: &'a OAuthError,
    },
    /// What a client publishes about itself cannot be fetched.
    DocumentUnavailable {
        /// Which client.
        client: &'a ClientId,
        /// Why not.
        cause: &'a str,
    },
    /// A client sent an assertion that was used before.
    AssertionReplayed {
        /// Which client.
        client: &'a ClientId,
    },
    /// A client did not prove itself, or is not known.
    ClientAuthenticationFailed {
        /// Who it says it is.
        client: &'a ClientId,
    },
    /// The person said no.
    ConsentDenied {
        /// Who had asked.
        client: &'a ClientId,
    },
    /// The provider's answer came by another browser than the one that approved.
    OtherBrowser {
        /// Who had asked; none where somebody signs in to see what is connected.
        client: Option<&'a ClientId>,
    },
    /// Somebody signed in at the provider whom the allow-list does not let in.
    SignInRefused {
        /// Where.
        provider: &'a ProviderId,
        /// Who had asked; none where somebody signs in to see what is connected.
        client: Option<&'a ClientId>,
    },
    /// Somebody signed in to see what is connected.
    AccountOpened {
        /// Who.
        subject: &'a Subject,
    },
    /// The provider could not be asked, or gave an answer of no use.
    UpstreamFailed {
        /// Which.
        provider: &'a ProviderId,
        /// What happened, without anything that the provider sent but an error code.
        cause: &'a str,
    },
    /// Something happened to what somebody gave us at the provider when they signed in.
    OfGrant {
        /// Where.
        provider: &'a ProviderId,
        /// Whose it is.
        subject: &'a Subject,
        /// What happened.
        news: GrantNews<'a>,
    },
    /// Somebody signed in and approved a client.
    CodeIssued {
        /// Which client.
        client: &'a ClientId,
        /// Who signed in.
        subject: &'a Subject,
        /// The session that the code opens.
        session: Id,
    },
    /// A code was used a second time.
    CodeReplayed {
        /// By whom.
        client: &'a ClientId,
        /// The session that ends with it.
        session: Id,
    },
    /// A code was redeemed.
    TokenIssued {
        /// By whom.
        client: &'a ClientId,
        /// Who signed in.
        subject: &'a Subject,
        /// The session in force.
        session: Id,
    },
    /// A refresh token was redeemed.
    TokenRefreshed {
        /// By whom.
        client: &'a ClientId,
        /// Who signed in.
        subject: &'a Subject,
        /// The session in force.
        session: Id,
    },
    /// A refresh token that was just used got the same answer again.
    RefreshAnsweredAgain {
        /// Its session.
        session: Id,
    },
    /// A refresh token was used again long after it was replaced: somebody may have stolen it.
    RefreshReused {
        /// Whose it was.
        client: &'a ClientId,
        /// Who signed in.
        subject: &'a Subject,
        /// The session that ends with it.
        session: Id,
    },
    /// A session ended before its time.
    SessionEnded {
        /// Which.
        session: Id,
        /// Why.
        why: &'static str,
    },
    /// The keys of the server changed.
    KeysChanged {
        /// The key: its `kid`, or what it is called in what it has sealed.
        key: &'a str,
        /// What became of it.
        what: &'static str,
    },
    /// An address came too often.
    RateLimited {
        /// To which endpoint.
        endpoint: &'static str,
        /// Which address.
        address: IpAddr,
    },
}

impl Event<'_> {
    /// Writes it to the log, under the target `anteroom::audit`.
    pub fn tell(&self) {
        macro_rules! tell {
            ($level:expr) => {
                if tracing::enabled!(target: AUDIT, $level) {
                    let fields = self.fields();
                    tracing::event!(
                        target: AUDIT,
                        $level,
                        event = self.name(),
                        client.id = fields.client.map(|id| display(Escaped(id.as_str(), Kind::Identifier))),
                        subject = fields.subject.map(|id| display(Escaped(id.as_str(), Kind::Identifier))),
                        session.id = fields.session.map(display),
                        provider = fields.provider.map(|id| display(Escaped(id.as_str(), Kind::Identifier))),
                        key.id = fields.key,
                        address = fields.address.map(display),
                        error = fields.error,
                        cause = fields.cause.map(|cause| display(Escaped(cause, Kind::Words))),
                        "{}",
                        self.message()
                    );
                }
            };
        }
        if self.is_alarming() {
            tell!(Level::WARN);
        } else if self.is_routine() {
            tell!(Level::DEBUG);
        } else {
            tell!(Level::INFO);
        }
    }

    /// Whether it happens every hour of every session.
    fn is_routine(&self) -> bool {
        match self {
            Self::TokenRefreshed { .. } | Self::RefreshAnsweredAgain { .. } => true,
            Self::OfGrant { news, .. } => news.is_routine(),
            _ => false,
        }
    }

    /// Whether somebody should look: an attack, a provider that fails, or a client that nobody will be able to connect.
    fn is_alarming(&self) -> bool {
        match self {
            Self::RegistrationRefused { .. }
            | Self::DocumentRefused { .. }
            | Self::DocumentUnavailable { .. }
            | Self::AssertionReplayed { .. }
            | Self::OtherBrowser { .. }
            | Self::UpstreamFailed { .. }
            | Self::CodeReplayed { .. }
            | Self::RefreshReused { .. } => true,
            Self::OfGrant { news, .. } => news.is_alarming(),
            _ => false,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::ClientRegistered { .. } => "client_registered",
            Self::RegistrationRefused { .. } => "registration_refused",
            Self::RegistrationChanged { .. } => "registration_changed",
            Self::RegistrationRemoved { .. } => "registration_removed",
            Self::ClientRemoved { .. } => "client_removed",
            Self::DocumentRefused { .. } => "document_refused",
            Self::DocumentUnavailable { .. } => "document_unavailable",
            Self::AssertionReplayed { .. } => "assertion_replayed",
            Self::ClientAuthenticationFailed { .. } => "client_authentication_failed",
            Self::ConsentDenied { .. } => "consent_denied",
            Self::OtherBrowser { .. } => "other_browser",
            Self::SignInRefused { .. } => "sign_in_refused",
            Self::AccountOpened { .. } => "account_opened",
            Self::UpstreamFailed { .. } => "upstream_failed",
            Self::OfGrant { news, .. } => news.name(),
            Self::CodeIssued { .. } => "code_issued",
            Self::CodeReplayed { .. } => "code_replayed",
            Self::TokenIssued { .. } => "token_issued",
            Self::TokenRefreshed { .. } => "token_refreshed",
            Self::RefreshAnsweredAgain { .. } => "refresh_answered_again",
            Self::RefreshReused { .. } => "refresh_reused",
            Self::SessionEnded { .. } => "session_ended",
            Self::KeysChanged { .. } => "keys_changed",
            Self::RateLimited { .. } => "rate_limited",
        }
    }

    fn message(&self) -> &'static str {
        match self {
            Self::ClientRegistered { .. } => "a client registered itself",
            Self::RegistrationRefused { .. } => "a registration was refused",
            Self::RegistrationChanged { .. } => "a client changed its registration",
            Self::RegistrationRemoved { .. } => "a client removed its registration",
            Self::ClientRemoved { .. } => "the operator removed a client",
            Self::DocumentRefused { .. } => "the metadata document of a client was refused",
            Self::DocumentUnavailable { .. } => "what a client publishes cannot be fetched",
            Self::AssertionReplayed { .. } => "a client sent an assertion that was used before",
            Self::ClientAuthenticationFailed { .. } => {
                "a client is unknown or did not prove itself"
            }
            Self::ConsentDenied { .. } => "the person did not let a client in",
            Self::OtherBrowser { .. } => {
                "a sign-in came back by another browser than the one that approved it, and was stopped"
            }
            Self::SignInRefused { .. } => "somebody signed in who is not on the allow-list",
            Self::AccountOpened { .. } => "somebody signed in to see what is connected",
            Self::UpstreamFailed { .. } => "a sign-in failed at the provider",
            Self::OfGrant { news, .. } => news.message(),
            Self::CodeIssued { .. } => "somebody signed in and let a client in",
            Self::CodeReplayed { .. } => "an authorization code was used twice; its session ends",
            Self::TokenIssued { .. } => "a client got its first token",
            Self::TokenRefreshed { .. } => "a client got a fresh token",
            Self::RefreshAnsweredAgain { .. } => "a repeated refresh got the same answer again",
            Self::RefreshReused { .. } => {
                "a refresh token was used long after it was replaced; its session ends"
            }
            Self::SessionEnded { .. } => "a session ended",
            Self::KeysChanged { .. } => "the keys of the server changed",
            Self::RateLimited { .. } => "an address came too often and has to wait",
        }
    }

    fn fields(&self) -> Fields<'_> {
        let none = Fields::default();
        match *self {
            Self::ClientRegistered { client }
            | Self::RegistrationChanged { client }
            | Self::RegistrationRemoved { client }
            | Self::ClientRemoved { client }
            | Self::AssertionReplayed { client }
            | Self::ClientAuthenticationFailed { client }
            | Self::ConsentDenied { client } => none.client(client),
            Self::OtherBrowser { client } => Fields { client, ..none },
            Self::DocumentRefused { client, error } => none.client(client).error(error),
            Self::DocumentUnavailable { client, cause } => none.client(client).cause(cause),
            Self::RegistrationRefused { error } => none.error(error),
            Self::SignInRefused { provider, client } => Fields {
                client,
                ..none.provider(provider)
            },
            Self::AccountOpened { subject } => none.subject(subject),
            Self::UpstreamFailed { provider, cause } => none.provider(provider).cause(cause),
            Self::OfGrant {
                provider,
                subject,
                news,
            } => none
                .provider(provider)
                .subject(subject)
                .perhaps(news.cause()),
            Self::CodeIssued {
                client,
                subject,
                session,
            }
            | Self::TokenIssued {
                client,
                subject,
                session,
            }
            | Self::TokenRefreshed {
                client,
                subject,
                session,
            }
            | Self::RefreshReused {
                client,
                subject,
                session,
            } => none.client(client).session(session).subject(subject),
            Self::CodeReplayed { client, session } => none.client(client).session(session),
            Self::RefreshAnsweredAgain { session } => none.session(session),
            Self::SessionEnded { session, why } => none.session(session).cause(why),
            Self::KeysChanged { key, what } => Fields {
                key: Some(key),
                ..none.cause(what)
            },
            Self::RateLimited { endpoint, address } => Fields {
                address: Some(address),
                cause: Some(endpoint),
                ..none
            },
        }
    }
}

const AUDIT: &str = "anteroom::audit";

//! What a line about an event says, and how text of others stands in it.

use std::fmt;
use std::net::IpAddr;

use crate::protocol::error::OAuthError;
use crate::protocol::ids::{ClientId, Id, ProviderId, Subject};

/// What is known about an event; what is not known is left out of the line.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) client: Option<&'a ClientId>,
    pub(super) subject: Option<&'a Subject>,
    pub(super) session: Option<Id>,
    pub(super) provider: Option<&'a ProviderId>,
    pub(super) key: Option<&'a str>,
    pub(super) address: Option<IpAddr>,
    pub(super) error: Option<&'static str>,
    pub(super) cause: Option<&'a str>,
}

impl<'a> Fields<'a> {
    pub(super) fn client(self, client: &'a ClientId) -> Self {
        Self {
            client: Some(client),
            ..self
        }
    }

    pub(super) fn subject(self, subject: &'a Subject) -> Self {
        Self {
            subject: Some(subject),
            ..self
        }
    }

    pub(super) fn provider(self, provider: &'a ProviderId) -> Self {
        Self {
            provider: Some(provider),
            ..self
        }
    }

    pub(super) fn error(self, error: &'a OAuthError) -> Self {
        Self {
            error: Some(error.code.as_str()),
            cause: Some(error.description),
            ..self
        }
    }

    pub(super) fn cause(self, cause: &'a str) -> Self {
        Self {
            cause: Some(cause),
            ..self
        }
    }

    pub(super) fn perhaps(self, cause: Option<&'a str>) -> Self {
        Self { cause, ..self }
    }

    pub(super) fn session(self, session: Id) -> Self {
        Self {
            session: Some(session),
            ..self
        }
    }
}

/// Text that somebody outside may have chosen: without line breaks, colours and hidden characters, and not endless.
pub(super) struct Escaped<'a>(pub(super) &'a str, pub(super) Kind);

/// What a text is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Identifier,
    Words,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        for character in rest.by_ref().take(MAX_CHARS) {
            match character {
                // an identifier has neither, and in a line of text they begin a field that would be believed
                ' ' | '=' if self.1 == Kind::Identifier => {
                    write!(f, "{}", character.escape_unicode())?;
                }
                other => write!(f, "{}", other.escape_debug())?,
            }
        }
        if rest.next().is_some() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

const MAX_CHARS: usize = 256;

//! What a server behind us is told of the caller: who it is, the same signed, and the provider's token of the person.

pub mod assertion;
mod told;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use self::assertion::Assertions;
use self::told::{Known, Told};
use crate::clock::UnixTime;
use crate::jwt::keys::KeyError;
use crate::protocol::principal::{NoUpstreamToken, Principal};
use crate::resource::answer::RpcError;

/// Tells one server who calls, as far as it is to be told.
#[derive(Clone, Debug)]
pub struct Introduction {
    headers: bool,
    assertions: Option<Arc<Assertions>>,
    upstream_token: bool,
    known: Known,
}

/// Why nobody can be introduced now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoIntroduction {
    /// The server needs the provider's token, and there is none.
    #[error(transparent)]
    UpstreamToken(#[from] NoUpstreamToken),
    /// The assertion could not be signed.
    #[error(transparent)]
    Assertion(#[from] KeyError),
}

/// Signed: see [`Assertions`].
const ASSERTION: HeaderName = HeaderName::from_static("x-anteroom-assertion");

/// The provider's access token of the person.
const UPSTREAM_TOKEN: HeaderName = HeaderName::from_static("x-anteroom-upstream-token");

/// The headers that say who calls.
const TOLD: [HeaderName; 6] = [
    HeaderName::from_static("x-anteroom-user"),
    HeaderName::from_static("x-anteroom-login"),
    HeaderName::from_static("x-anteroom-email"),
    HeaderName::from_static("x-anteroom-name"),
    HeaderName::from_static("x-anteroom-client"),
    HeaderName::from_static("x-anteroom-scopes"),
];

/// Headers that say who calls, and nothing else.
impl Default for Introduction {
    fn default() -> Self {
        Self {
            headers: true,
            ..Self::none()
        }
    }
}

impl Introduction {
    /// The server is told nothing.
    #[must_use]
    pub fn none() -> Self {
        Self {
            headers: false,
            assertions: None,
            upstream_token: false,
            known: Known::default(),
        }
    }

    /// The same, signed as well.
    #[must_use]
    pub fn with_assertions(self, assertions: Assertions) -> Self {
        Self {
            assertions: Some(Arc::new(assertions)),
            // what was told by another is not signed
            known: Known::default(),
            ..self
        }
    }

    /// The same, and the provider's token of the person.
    #[must_use]
    pub fn with_upstream_token(self) -> Self {
        Self {
            upstream_token: true,
            ..self
        }
    }

    /// Puts into `headers` what the server is told of the caller. Nothing that begins with `x-anteroom-` stands there: what
    /// the client said has been taken out.
    ///
    /// # Errors
    /// Where something is missing that the server needs: it is not to be asked without it, because it might act in a name of
    /// its own then.
    pub(super) async fn introduce(
        &self,
        headers: &mut HeaderMap,
        principal: &Arc<Principal>,
    ) -> Result<(), NoIntroduction> {
        if self.upstream_token {
            headers.insert(UPSTREAM_TOKEN, upstream_token(principal).await?);
        }
        if self.headers || self.assertions.is_some() {
            let now = self.assertions.as_ref().map(|assertions| assertions.now());
            let write = || self.write(principal, now);
            self.known.about(principal, now, write).put(headers)?;
        }
        Ok(())
    }

    /// What is told of a caller in headers that are the same for many calls.
    fn write(&self, principal: &Arc<Principal>, now: Option<UnixTime>) -> Told {
        let scopes = principal.scopes.to_string();
        let mut headers = if self.headers {
            tell(principal, &scopes)
        } else {
            Vec::new()
        };
        let signed = self.assertions.as_ref().zip(now);
        let signed = signed.map(|(assertions, now)| assertions.about(principal, scopes, now));
        let headers = match signed {
            None => Ok(headers),
            Some(Ok(assertion)) => {
                headers.push((ASSERTION, assertion));
                Ok(headers)
            }
            Some(Err(error)) => {
                tracing::error!(%error, "it could not be signed who calls");
                Err(error)
            }
        };
        Told {
            principal: Arc::downgrade(principal),
            headers,
            issued: now,
        }
    }
}

impl NoIntroduction {
    /// What the caller is told: never that it should sign in again, because its token is good.
    #[must_use]
    pub fn error(self) -> RpcError {
        match self {
            Self::UpstreamToken(none) => none.into(),
            Self::Assertion(_) => RpcError::http(
                StatusCode::SERVICE_UNAVAILABLE,
                "the MCP server cannot be told now who calls; try again later",
            ),
        }
    }
}

async fn upstream_token(principal: &Principal) -> Result<HeaderValue, NoIntroduction> {
    let token = principal.upstream_token().await.inspect_err(|none| {
        // of the others it is told where they come about
        if matches!(none, NoUpstreamToken::None) {
            tracing::warn!(
                "the MCP server needs the provider's token of somebody of whom there is none"
            );
        }
    })?;
    let Ok(mut value) = HeaderValue::from_str(token.expose()) else {
        tracing::error!("the provider's token has characters that no header can hold");
        return Err(NoUpstreamToken::None.into());
    };
    value.set_sensitive(true);
    Ok(value)
}

fn tell(principal: &Principal, scopes: &str) -> Vec<(HeaderName, HeaderValue)> {
    let identity = principal.identity();
    let values = [
        Some(identity.subject.as_str()),
        identity.login.as_deref(),
        identity.verified_email.as_deref(),
        identity.name.as_deref(),
        Some(principal.client_id.as_str()),
        Some(scopes),
    ];
    let told = TOLD.into_iter().zip(values);
    told.filter_map(|(name, value)| Some((name, header_safe(value?)?)))
        .collect()
}

/// Visible ASCII and single spaces as they are; everything else, and `%`, percent-encoded as UTF-8.
fn header_safe(text: &str) -> Option<HeaderValue> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut safe = Vec::with_capacity(text.len());
    for byte in text.trim().bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            safe.push(byte);
        } else {
            safe.extend([
                b'%',
                DIGITS[usize::from(byte >> 4)],
                DIGITS[usize::from(byte & 15)],
            ]);
        }
    }
    HeaderValue::from_bytes(&safe).ok()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::protocol::identity::Identity;
    use crate::protocol::ids::{ClientId, Id, Subject};
    use crate::protocol::principal::{Standing, UpstreamAccess};
    use crate::protocol::scope::ScopeSet;
    use crate::secret::Secret;

    struct Always(Result<&'static str, NoUpstreamToken>);

    #[async_trait]
    impl UpstreamAccess for Always {
        async fn token(&self, _: Id) -> Result<Secret, NoUpstreamToken> {
            self.0.map(Secret::new)
        }
    }

    fn principal(upstream: Option<Always>) -> Arc<Principal> {
        let identity = Identity {
            subject: Subject::new("github:1"),
            login: None,
            name: None,
            verified_email: None,
        };
        let client_id = ClientId::new("c");
        let session = Id::new(UnixTime(1_795_219_200));
        let mut standing = Standing::new(session, client_id.clone(), identity);
        standing.upstream = upstream.map(|upstream| Arc::new(upstream) as _);
        Arc::new(Principal {
            standing: Arc::new(standing),
            client_id,
            scopes: ScopeSet::default(),
        })
    }

    /// RS-13
    #[tokio::test]
    async fn a_server_is_not_asked_without_the_token_that_it_needs() {
        let introduction = Introduction::none().with_upstream_token();
        for (upstream, status) in [
            (None, 502),
            (Some(Always(Err(NoUpstreamToken::None))), 502),
            (Some(Always(Ok("a\nb"))), 502),
            (Some(Always(Err(NoUpstreamToken::Ended))), 503),
            (Some(Always(Err(NoUpstreamToken::Unavailable))), 503),
        ] {
            let mut headers = HeaderMap::new();
            let principal = principal(upstream);
            let introduced = introduction.introduce(&mut headers, &principal);
            let error = introduced.await.unwrap_err().error();
            assert_eq!(error.status.as_u16(), status);
            assert!(headers.is_empty());
        }
    }

    /// RS-13
    #[tokio::test]
    async fn nothing_stands_beside_what_is_told() {
        let principal = principal(Some(Always(Ok("token"))));
        for (introduction, told) in [
            (Introduction::none(), &[][..]),
            (
                Introduction::default(),
                &["x-anteroom-client", "x-anteroom-scopes", "x-anteroom-user"],
            ),
            (
                Introduction::none().with_upstream_token(),
                &["x-anteroom-upstream-token"],
            ),
        ] {
            let mut headers = HeaderMap::new();
            for _ in 0..2 {
                let introduced = introduction.introduce(&mut headers, &principal);
                introduced.await.unwrap();
            }
            assert_eq!(headers.len(), told.len());
            let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, told);
            assert!(!format!("{headers:?}").contains("\"token\""));
        }
    }

    #[test]
    fn a_value_cannot_break_out_of_its_header() {
        for (text, expected) in [
            ("github:583231", "github:583231"),
            ("Mona Lisa", "Mona Lisa"),
            ("Zoë", "Zo%C3%AB"),
            ("a\r\nX-Anteroom-User: root", "a%0D%0AX-Anteroom-User: root"),
            ("100%", "100%25"),
            (" a ", "a"),
            ("\u{7f}\0", "%7F%00"),
            ("", ""),
        ] {
            assert_eq!(header_safe(text).unwrap(), expected, "{text:?}");
        }
    }
}

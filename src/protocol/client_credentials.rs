//! How a client proves itself at the token endpoint: `none`, `client_secret_post`, `client_secret_basic` (OAuth 2.1 §2.4).

use std::fmt;
use std::iter;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::client::{Client, ClientAuthentication};
use super::error::{ErrorCode, OAuthError};
use super::form::{self, Form};
use super::ids::ClientId;
use crate::secret::Secret;

/// What a request presents to say which client it comes from.
pub struct Credentials {
    /// The client that it claims to be.
    pub client_id: ClientId,
    /// The secret; an empty one counts as none.
    pub secret: Option<Secret>,
    /// Whether it came in the `Authorization` header: then a refusal names the scheme there (RFC 6749 §5.2).
    pub by_header: bool,
    /// The header read without form decoding, where that makes a difference.
    undecoded: Option<Reading>,
}

type Reading = (ClientId, Option<Secret>);

impl Credentials {
    /// Reads the `Authorization` header and the parameters of a request.
    ///
    /// # Errors
    /// `invalid_request` where there are two methods at once, `invalid_client` where there is none or it is malformed.
    pub fn parse(authorization: Option<&[u8]>, form: &Form) -> Result<Self, OAuthError> {
        let id = form.one("client_id")?;
        let secret = form.one("client_secret")?;
        let asserts =
            form.one("client_assertion")?.is_some() || form.one("client_assertion_type")?.is_some();
        // RFC 6749 §2.3: one method a request. A client_id next to Basic is none (TOK-22).
        let methods = [authorization.is_some(), secret.is_some(), asserts];
        if methods.iter().filter(|used| **used).count() > 1 {
            return Err(ErrorCode::InvalidRequest
                .with("the client authenticates in two ways at once: use one of them"));
        }
        if asserts {
            return Err(ErrorCode::InvalidClient.with("private_key_jwt is not supported"));
        }
        match authorization {
            Some(header) => Self::from_header(header, id),
            None => Ok(Self {
                client_id: ClientId::new(
                    id.ok_or(ErrorCode::InvalidClient.with("client_id is missing"))?,
                ),
                secret: secret.map(Secret::new),
                by_header: false,
                undecoded: None,
            }),
        }
    }

    /// Reads `Basic` (RFC 7617). RFC 6749 §2.3.1 has both halves form-encoded, which some clients do and others do
    /// not: where it makes a difference both readings stand, and only a right secret decides (TOK-21).
    fn from_header(header: &[u8], body_id: Option<&str>) -> Result<Self, OAuthError> {
        let pair = decode_basic(header).ok_or(
            ErrorCode::InvalidClient.with("the Authorization header must be well-formed Basic"),
        )?;
        let (id, secret) = pair.expose().split_once(':').ok_or(
            ErrorCode::InvalidClient
                .with("the credentials of the Authorization header must hold a colon"),
        )?;
        let raw = reading(id, secret);
        let decoded = form::decode(id.as_bytes())
            .zip(form::decode(secret.as_bytes()).map(Secret::new))
            .filter(|(one, other)| one != id || other.expose() != secret)
            .and_then(|(id, secret)| reading(&id, secret.expose()));
        let mut readings = [decoded, raw].into_iter().flatten().peekable();
        if readings.peek().is_none() {
            return Err(ErrorCode::InvalidClient.with("the Authorization header has no client_id"));
        }
        let mut readings =
            readings.filter(|(id, _)| body_id.is_none_or(|named| named == id.as_str()));
        let (client_id, secret) =
            readings
                .next()
                .ok_or(ErrorCode::InvalidRequest.with(
                    "client_id is another one in the body than in the Authorization header",
                ))?;
        Ok(Self {
            client_id,
            secret,
            by_header: true,
            undecoded: readings.next(),
        })
    }

    /// Every reading of what was presented: decoded first, then undecoded where it differs.
    pub fn readings(&self) -> impl Iterator<Item = (ClientId, Option<&Secret>)> {
        iter::once((self.client_id.clone(), self.secret.as_ref())).chain(
            self.undecoded
                .iter()
                .map(|(id, secret)| (id.clone(), secret.as_ref())),
        )
    }

    /// Whether they are those of `client`. A public client has no secret to show, so one that is shown is wrong; a
    /// confidential client never acts without its own. Whether it came by header or body makes no difference (TOK-23).
    #[must_use]
    pub fn prove(&self, client: &Client) -> bool {
        // No early end: each reading takes its time, whatever the others were.
        self.readings()
            .filter(|(id, _)| *id == client.id)
            .fold(false, |proven, (_, secret)| {
                proven
                    | match (&client.authentication, secret) {
                        (ClientAuthentication::None, secret) => secret.is_none(),
                        (ClientAuthentication::Secret(_), None) => false,
                        (ClientAuthentication::Secret(digest), Some(secret)) => {
                            digest.matches(secret)
                        }
                    }
            })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client_id", &self.client_id)
            .field("by_header", &self.by_header)
            .finish_non_exhaustive()
    }
}

/// Base64 as clients write it: with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn decode_basic(header: &[u8]) -> Option<Secret> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let pair = BASE64.decode(encoded.trim_ascii()).ok()?;
    String::from_utf8(pair).ok().map(Secret::new)
}

fn reading(id: &str, secret: &str) -> Option<Reading> {
    (!id.is_empty()).then(|| {
        let secret = (!secret.is_empty()).then(|| Secret::new(secret));
        (ClientId::new(id), secret)
    })
}

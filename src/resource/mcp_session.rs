//! `Mcp-Session-Id` of the older transport, bound to person and client without keeping anything (RS-12).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::protocol::principal::Principal;
use crate::secret::same;

/// `Mcp-Session-Id`
pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// Half of an HMAC-SHA256: 128 bits.
const TAG_LEN: usize = 16;

/// The tag in base64url.
const TAG_TEXT_LEN: usize = 22;

/// Marks session identifiers of servers for the person and client they were made for: `id.tag`.
#[derive(Clone)]
pub struct SessionKey {
    key: hmac::Key,
    resource: String,
}

/// The identifier is not the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotYours;

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

impl SessionKey {
    /// The key made of these bytes, for the sessions of one resource.
    #[must_use]
    pub fn new(bytes: &[u8; 32], resource: &str) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, bytes),
            resource: resource.to_owned(),
        }
    }

    /// Puts the tag behind the identifier that the server sends. One that cannot be bound is not handed out.
    pub fn seal(&self, headers: &mut HeaderMap, principal: &Principal) {
        let Some(found) = headers.remove(SESSION_ID) else {
            return;
        };
        let bound = found.to_str().ok().and_then(|id| {
            let tag = URL_SAFE_NO_PAD.encode(self.tag(id, principal));
            HeaderValue::try_from(format!("{id}.{tag}")).ok()
        });
        if let Some(bound) = bound {
            headers.insert(SESSION_ID, bound);
        }
    }

    /// Takes the tag off the identifier that the client sends, so that the server sees its own.
    ///
    /// # Errors
    /// Where the tag is wrong, another's, or not there.
    pub fn open(&self, headers: &mut HeaderMap, principal: &Principal) -> Result<(), NotYours> {
        let mut found = headers.get_all(SESSION_ID).iter();
        let bound = match (found.next(), found.next()) {
            (None, _) => return Ok(()),
            (Some(bound), None) => bound.to_str().map_err(|_| NotYours)?,
            (Some(_), Some(_)) => return Err(NotYours),
        };
        let (id, tag) = bound.rsplit_once('.').ok_or(NotYours)?;
        let mut sent = [0; TAG_LEN];
        let is_whole = tag.len() == TAG_TEXT_LEN
            && URL_SAFE_NO_PAD.decode_slice(tag, &mut sent) == Ok(TAG_LEN);
        if !is_whole || !same(&sent, &self.tag(id, principal)) {
            return Err(NotYours);
        }
        let id = HeaderValue::from_str(id).map_err(|_| NotYours)?;
        headers.insert(SESSION_ID, id);
        Ok(())
    }

    /// HMAC over resource, identifier, person and client, each with its length in front, so that no two sets look alike.
    fn tag(&self, id: &str, principal: &Principal) -> [u8; TAG_LEN] {
        let parts = [
            self.resource.as_str(),
            id,
            principal.identity().subject.as_str(),
            principal.client_id.as_str(),
        ];
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let whole = context.sign();
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&whole.as_ref()[..TAG_LEN]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::UnixTime;
    use crate::protocol::identity::Identity;
    use crate::protocol::ids::{ClientId, Id, Subject};
    use crate::protocol::principal::Standing;
    use crate::protocol::scope::ScopeSet;

    fn principal(subject: &str, client: &str) -> Principal {
        let identity = Identity {
            subject: Subject::new(subject),
            login: None,
            name: None,
            verified_email: None,
        };
        Principal {
            standing: Arc::new(Standing::new(
                Id::new(UnixTime(0)),
                ClientId::new("client"),
                identity,
            )),
            client_id: ClientId::new(client),
            scopes: ScopeSet::default(),
        }
    }

    fn with(id: &str) -> HeaderMap {
        HeaderMap::from_iter([(SESSION_ID, HeaderValue::from_str(id).unwrap())])
    }

    fn sealed(key: &SessionKey, id: &str, principal: &Principal) -> HeaderMap {
        let mut headers = with(id);
        key.seal(&mut headers, principal);
        headers
    }

    /// RS-12, P11
    #[test]
    fn a_session_opens_for_the_same_person_and_client_alone() {
        let key = SessionKey::new(&[7; 32], "https://h/mcp");
        let owner = principal("github:1", "c");
        let mut headers = sealed(&key, "a.b", &owner);
        assert_ne!(headers[SESSION_ID], "a.b");
        // Another token of the same person and client: a refreshed one.
        assert_eq!(key.open(&mut headers, &principal("github:1", "c")), Ok(()));
        assert_eq!(headers[SESSION_ID], "a.b");
        for (key, other) in [
            (&key, principal("github:2", "c")),
            (&key, principal("github:1", "d")),
            (&key, principal("github:1c", "")),
            (&key, principal("github:", "1c")),
            (
                &SessionKey::new(&[8; 32], "https://h/mcp"),
                principal("github:1", "c"),
            ),
            (
                &SessionKey::new(&[7; 32], "https://h/other"),
                principal("github:1", "c"),
            ),
        ] {
            assert_eq!(
                key.open(
                    &mut sealed(&SessionKey::new(&[7; 32], "https://h/mcp"), "a.b", &owner),
                    &other
                ),
                Err(NotYours)
            );
        }
    }

    /// RS-12
    #[test]
    fn an_identifier_without_its_whole_tag_opens_nothing() {
        let key = SessionKey::new(&[7; 32], "https://h/mcp");
        let owner = principal("github:1", "c");
        let good = sealed(&key, "id", &owner)[SESSION_ID]
            .to_str()
            .unwrap()
            .to_owned();
        let mut flipped = good.clone().into_bytes();
        flipped[0] ^= 1;
        for bad in [
            "id",
            "id.",
            ".",
            "",
            &good[..good.len() - 1],
            &format!("{good}A"),
            &format!("{good}="),
            &String::from_utf8(flipped).unwrap(),
        ] {
            assert_eq!(key.open(&mut with(bad), &owner), Err(NotYours), "{bad}");
        }
        let mut twice = with(&good);
        twice.append(SESSION_ID, HeaderValue::from_str(&good).unwrap());
        assert_eq!(key.open(&mut twice, &owner), Err(NotYours));
        assert_eq!(key.open(&mut HeaderMap::new(), &owner), Ok(()));
    }

    #[test]
    fn an_identifier_that_cannot_be_bound_is_not_handed_out() {
        let mut headers =
            HeaderMap::from_iter([(SESSION_ID, HeaderValue::from_bytes(b"\xFF").unwrap())]);
        SessionKey::new(&[7; 32], "https://h/mcp").seal(&mut headers, &principal("github:1", "c"));
        assert!(headers.is_empty());
    }
}

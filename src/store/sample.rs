//! Records to try a store with: every field has a value that works, and a test says only what it is about.
#![expect(
    clippy::expect_used,
    reason = "these are for tests: what they cannot build is a failed test"
)]

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BrowserRecord, Opening, SignedIn, Turn};
use crate::clock::UnixTime;
use crate::protocol::client::{Client, ClientAuthentication, ClientSource};
use crate::protocol::client_metadata::{ClientDocument, RULES};
use crate::protocol::consent::{Agreement, Consent, ConsentKey};
use crate::protocol::grant::Grant;
use crate::protocol::identity::Identity;
use crate::protocol::ids::{ClientId, Id, ProviderId, Subject};
use crate::protocol::scope::ScopeSet;
use crate::protocol::session::{
    AuthorizationRequest, IssuedCode, PendingSignIn, PushedRequest, RefreshState, Session,
    SignInFor,
};
use crate::seal::Sealed;
use crate::secret::{Secret, SecretDigest};

/// A moment at which nothing below has expired that is not told to.
pub const NOW: UnixTime = UnixTime(1_800_000_000);

/// The identifier of this number, always the same.
#[must_use]
pub fn id(number: u64) -> Id {
    let mut bytes = [7; Id::LEN];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Id::from_bytes(bytes)
}

/// The digest of a secret that reads `clear`.
#[must_use]
pub fn digest(clear: &str) -> SecretDigest {
    Secret::new(clear).digest()
}

/// Something sealed, as far as a store can tell.
#[must_use]
pub fn sealed(content: &str) -> Sealed {
    made_of(content.as_bytes())
}

/// A public client that registered itself.
#[must_use]
pub fn client(name: &str) -> Client {
    Client {
        id: ClientId::new(name),
        name: Some("Example client".to_owned()),
        uri: None,
        logo: None,
        redirect_uris: vec![made_of("http://127.0.0.1/callback")],
        authentication: ClientAuthentication::None,
        refreshes: true,
        scopes: None,
        source: ClientSource::Registered {
            at: NOW,
            access: digest("registration access token"),
            issuer: "https://mcp.example.com".to_owned(),
        },
    }
}

/// A request as it was approved.
#[must_use]
pub fn request() -> AuthorizationRequest {
    AuthorizationRequest {
        client_id: ClientId::new("client"),
        redirect: made_of("http://127.0.0.1:49152/callback"),
        state: Some("state".to_owned()),
        challenge: made_of([9u8; 32]),
        resource: "https://mcp.example.com/mcp".to_owned(),
        scopes: ScopeSet::parse("mcp:tools:read mcp:tools:execute").expect("these are scopes"),
        fingerprint: [3; 32],
    }
}

/// A request that was pushed.
#[must_use]
pub fn pushed(expires: UnixTime) -> PushedRequest {
    PushedRequest {
        digest: digest("request_uri"),
        request: request(),
        browser: None,
        expires,
    }
}

/// What a person agreed to, with the key that it is kept under.
#[must_use]
pub fn consent(person: &str, expires: UnixTime) -> (ConsentKey, Consent) {
    let request = request();
    let key = ConsentKey::new(&Subject::new(person), &request);
    let consent = Consent {
        scopes: request.scopes,
        fingerprint: request.fingerprint,
        at: NOW,
        expires,
    };
    (key, consent)
}

/// A document that describes a client.
#[must_use]
pub fn document(name: &str) -> ClientDocument {
    ClientDocument {
        client: Client {
            source: ClientSource::Document,
            ..client(name)
        },
        fetched_at: NOW,
        fresh_until: NOW,
        rules: RULES,
        etag: Some("\"1\"".to_owned()),
    }
}

/// A request that waits for the provider.
#[must_use]
pub fn pending(expires: UnixTime) -> PendingSignIn {
    PendingSignIn {
        state: digest("state"),
        browser: digest("browser"),
        provider: ProviderId::new("github"),
        upstream: sealed("verifier"),
        purpose: SignInFor::Client {
            request: Box::new(request()),
            agreement: Agreement::Short(Subject::new("github:583231")),
        },
        expires,
    }
}

/// A code for `session`.
#[must_use]
pub fn code(session: Id, expires: UnixTime) -> IssuedCode {
    IssuedCode {
        digest: digest("code"),
        session,
        request: request(),
        spent: false,
        expires,
    }
}

/// A session that is not in force yet.
#[must_use]
pub fn session(id: Id, expires: UnixTime) -> Session {
    Session {
        id,
        // of a person of its own: all sessions of one live by one grant
        subject: Subject::new(format!("github:{id}")),
        client_id: ClientId::new("client"),
        client_name: Some("Example client".to_owned()),
        client_host: "127.0.0.1".to_owned(),
        resource: "https://mcp.example.com/mcp".to_owned(),
        scopes: ScopeSet::parse("mcp:tools:read mcp:tools:execute").expect("these are scopes"),
        created: NOW,
        used: NOW,
        refresh: None,
        expires,
    }
}

/// What a person gave us, whose sessions end by `expires`.
#[must_use]
pub fn grant(person: &str, expires: UnixTime) -> Grant {
    Grant {
        identity: Identity {
            subject: Subject::new(person),
            login: Some("octocat".to_owned()),
            name: Some("The Octocat".to_owned()),
            verified_email: Some("octocat@example.com".to_owned()),
        },
        provider: ProviderId::new("github"),
        tokens: sealed("the provider's tokens, with the key's identifier, nonce and tag around"),
        opens: ScopeSet::default(),
        rules: [5; 32],
        checked: NOW,
        sessions: Vec::new(),
        expires,
    }
}

/// The first sign-in of whoever `session` is of, which nobody is to remember. The grant lasts a year longer than the
/// session does now, which may be used and live on.
#[must_use]
pub fn first_sign_in(code: IssuedCode, session: Session) -> SignedIn {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    SignedIn {
        grant_before: None,
        grant: grant(session.subject.as_str(), session.expires + year),
        consent: None,
        code,
        session,
    }
}

/// What a session gets whose first refresh token is `token`.
#[must_use]
pub fn opening(token: &str, expires: UnixTime) -> Opening {
    Opening {
        refresh: Some(RefreshState {
            current: digest(token),
            previous: None,
        }),
        expires,
    }
}

/// The rotation of `from` to `to`.
#[must_use]
pub fn turn(from: &str, to: &str, expires: UnixTime) -> Turn {
    Turn {
        from: digest(from),
        to: digest(to),
        successor: sealed(to),
        expires,
    }
}

/// A browser session that holds `values`.
#[must_use]
pub fn browser_record(values: &str, expires: UnixTime) -> BrowserRecord {
    BrowserRecord {
        values: values.as_bytes().to_vec(),
        expires,
    }
}

/// A value of a type that has no public constructor, from what it is on the wire.
fn made_of<T: DeserializeOwned>(wire: impl Serialize) -> T {
    let value = serde_json::to_value(wire).expect("it has a form in JSON");
    serde_json::from_value(value).expect("it is of the type's form")
}

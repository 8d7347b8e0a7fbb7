//! How a client shows who it is at the token endpoint (RFC 6749 §2.3, OAuth 2.1 §2.4, RFC 7523 §2.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::{Client, ClientAuthentication};
use super::error::{ErrorCode, OAuthError};
use super::form::{Form, decode};
use super::ids::ClientId;
use super::unverified_subject::unverified_subject;
use crate::secret::Secret;

/// What a client presented.
#[derive(Debug)]
pub struct Credentials {
    /// Who it says it is.
    pub client_id: ClientId,
    /// The secret; none for a public client.
    secret: Option<Secret>,
    /// The same header read as by a client that does not encode what it sends, where that differs (TOK-21).
    undecoded: Option<(ClientId, Option<Secret>)>,
    /// `client_assertion`, not verified yet.
    assertion: Option<Secret>,
    /// Nothing but a name was presented: not even an empty secret.
    bare: bool,
}

/// `client_assertion_type` (RFC 7523 §2.2)
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Credentials {
    /// Reads the `Authorization` header and the parameters of a request.
    ///
    /// # Errors
    /// `invalid_client` where there is nothing, or nothing readable; `invalid_request` where there is more than one
    /// method.
    pub fn parse(authorization: Option<&[u8]>, form: &Form) -> Result<Self, OAuthError> {
        let in_body = form.one("client_secret")?.map(Secret::new);
        let id_in_body = form.one("client_id")?.map(ClientId::new);
        let assertion = form.one("client_assertion")?.map(Secret::new);
        let assertion_type = form.one("client_assertion_type")?;
        let asserts = assertion.is_some() || assertion_type.is_some();
        // OAuth 2.1 §2.4: one method a request
        let methods = [authorization.is_some(), in_body.is_some(), asserts];
        if methods.iter().filter(|used| **used).count() > 1 {
            return Err(ErrorCode::InvalidRequest
                .with("the client authenticates in more than one way: only one is allowed"));
        }
        if asserts {
            return Self::asserted(assertion, assertion_type, id_in_body);
        }
        let bare = authorization.is_none()
            && !form.has("client_secret")
            && !form.has("client_assertion")
            && !form.has("client_assertion_type");
        let Some(header) = authorization else {
            let client_id =
                id_in_body.ok_or(ErrorCode::InvalidClient.with("client_id is missing"))?;
            return Ok(Self {
                client_id,
                secret: in_body,
                undecoded: None,
                assertion: None,
                bare,
            });
        };
        let (raw_id, raw_secret) = basic(header).ok_or(UNREADABLE)?;
        let raw = reading(raw_id.clone(), raw_secret.clone());
        let decoded = match (decode(raw_id.as_bytes()), decode(raw_secret.as_bytes())) {
            (Some(id), Some(secret)) => reading(id, secret),
            _ => raw.clone(),
        };
        // RFC 6749 Appendix A.1; what is logged must not break lines
        if [&raw, &decoded]
            .iter()
            .any(|(id, _)| id.as_str().contains(char::is_control))
        {
            return Err(UNREADABLE);
        }
        // a client_id beside the header is not a second method, but must say the same (TOK-22)
        if id_in_body.is_some_and(|id| id != decoded.0 && id != raw.0) {
            return Err(
                ErrorCode::InvalidRequest.with("client_id is not that of the Authorization header")
            );
        }
        let differs = decoded.0 != raw.0
            || decoded.1.as_ref().map(Secret::expose) != raw.1.as_ref().map(Secret::expose);
        Ok(Self {
            client_id: decoded.0,
            secret: decoded.1,
            undecoded: differs.then_some(raw),
            assertion: None,
            bare,
        })
    }

    /// Who an assertion says it is from: that is what the keys are looked up by, and proves nothing yet. A `client_id`
    /// beside it is not needed, but must say the same (RFC 7521 §4.2).
    fn asserted(
        assertion: Option<Secret>,
        assertion_type: Option<&str>,
        id_in_body: Option<ClientId>,
    ) -> Result<Self, OAuthError> {
        if assertion_type != Some(JWT_BEARER) {
            return Err(ErrorCode::InvalidClient.with(
                "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ));
        }
        let assertion =
            assertion.ok_or(ErrorCode::InvalidClient.with("client_assertion is missing"))?;
        let client_id = unverified_subject(assertion.expose()).ok_or(NO_SUBJECT)?;
        if id_in_body.is_some_and(|id| id != client_id) {
            return Err(
                ErrorCode::InvalidRequest.with("client_id is not the sub of the client_assertion")
            );
        }
        Ok(Self {
            client_id,
            secret: None,
            undecoded: None,
            assertion: Some(assertion),
            bare: false,
        })
    }

    /// The assertion (RFC 7523 §2.2), if the client came with one. Nothing of it has been verified.
    #[must_use]
    pub fn assertion(&self) -> Option<&Secret> {
        self.assertion.as_ref()
    }

    /// Each way to read what was presented: decoded first.
    pub fn readings(&self) -> impl Iterator<Item = (ClientId, Option<&Secret>)> {
        let decoded = (self.client_id.clone(), self.secret.as_ref());
        let undecoded = self
            .undecoded
            .as_ref()
            .map(|(id, secret)| (id.clone(), secret.as_ref()));
        std::iter::once(decoded).chain(undecoded)
    }

    /// Whether this proves to be `client`, assertions aside: what somebody asserts is verified elsewhere, and until then
    /// proves nothing. A secret is good in the header and in the body, whichever was registered (TOK-23); a client
    /// without a secret presents none (C6). One that has keys may come without only if it says so, and then presents
    /// nothing at all (CLI-14).
    #[must_use]
    pub fn prove(&self, client: &Client) -> bool {
        self.assertion.is_none()
            && self
                .readings()
                .filter(|(id, _)| *id == client.id)
                .any(|(_, secret)| match (&client.authentication, secret) {
                    (ClientAuthentication::None, None) => true,
                    (ClientAuthentication::Secret(digest), Some(secret)) => digest.matches(secret),
                    (ClientAuthentication::Keys { or_none, .. }, None) => *or_none && self.bare,
                    _ => false,
                })
    }
}

/// User and password of an `Authorization: Basic` header (RFC 7617 §2).
fn basic(header: &[u8]) -> Option<(String, String)> {
    let header = std::str::from_utf8(header).ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    (!id.is_empty()).then(|| (id.to_owned(), secret.to_owned()))
}

/// An empty secret is none: nobody is let in for presenting nothing.
fn reading(id: String, secret: String) -> (ClientId, Option<Secret>) {
    let secret = (!secret.is_empty()).then(|| Secret::new(secret));
    (ClientId::new(id), secret)
}

const UNREADABLE: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "the Authorization header is not Basic with base64 of client_id:client_secret",
};

const NO_SUBJECT: OAuthError = OAuthError {
    code: ErrorCode::InvalidClient,
    description: "the client_assertion is not a signed JWT with a sub, or has more than 8 KiB",
};

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::protocol::client::{ClientSource, KeySource};
    use crate::protocol::redirect_uri::RedirectUri;

    fn client(id: &str, secret: Option<&str>) -> Client {
        Client {
            id: ClientId::new(id),
            name: None,
            uri: None,
            logo: None,
            redirect_uris: vec![RedirectUri::parse("https://a.example/cb").unwrap()],
            authentication: secret.map_or(ClientAuthentication::None, |secret| {
                ClientAuthentication::Secret(Secret::new(secret).digest())
            }),
            refreshes: true,
            scopes: None,
            source: ClientSource::Known,
        }
    }

    fn basic_header(pair: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(pair)).into_bytes()
    }

    /// TOK-20, TOK-21, TOK-22, TOK-23, TOK-24, C6
    #[test]
    fn a_client_is_who_it_proves_to_be() {
        let public = client("c", None);
        let confidential = client("c", Some("s+e%20c"));
        for (header, body, proves_public, proves_confidential) in [
            (None, "client_id=c", true, false),
            (None, "client_id=c&client_secret=", true, false),
            (None, "client_id=c&client_secret=s%2Be%2520c", false, true),
            (None, "client_id=c&client_secret=wrong", false, false),
            (None, "client_id=d", false, false),
            (Some("c:s+e%20c"), "", false, true),
            (Some("c:s%2Be%2520c"), "", false, true),
            (Some("c:s%2Be%2520c"), "client_id=c", false, true),
            (Some("c:wrong"), "", false, false),
            (Some("c:"), "", true, false),
            (Some("d:s+e%20c"), "", false, false),
        ] {
            let header = header.map(basic_header);
            let form = Form::parse(body.as_bytes()).unwrap();
            let credentials = Credentials::parse(header.as_deref(), &form).unwrap();
            assert_eq!(
                credentials.prove(&public),
                proves_public,
                "{body} as public"
            );
            assert_eq!(
                credentials.prove(&confidential),
                proves_confidential,
                "{body} as confidential"
            );
        }
    }

    fn refusal(header: Option<&[u8]>, body: &str) -> ErrorCode {
        let form = Form::parse(body.as_bytes()).unwrap();
        let refused = Credentials::parse(header, &form).unwrap_err();
        refused.code
    }

    /// TOK-22
    #[test]
    fn a_client_authenticates_in_one_way() {
        for (header, body) in [
            (Some("Basic Yzpz"), "client_secret=s"),
            (Some("Basic Yzpz"), "client_id=c&client_secret=s"),
            (Some("Basic Yzpz"), "client_assertion=x"),
            (Some("Basic Yzpz"), "client_assertion_type=x"),
            (Some("Bearer x"), "client_id=c&client_secret=s"),
            (None, "client_id=c&client_secret=s&client_assertion=x"),
            (None, "client_secret=s&client_assertion_type=x"),
            (None, "client_assertion=x&client_assertion=y"),
            (None, "client_assertion_type=x&client_assertion_type="),
            // not a second way, but another client
            (Some("Basic Yzpz"), "client_id=d"),
            (None, "client_id=c&client_id=c"),
        ] {
            let header = header.map(str::as_bytes);
            assert_eq!(refusal(header, body), ErrorCode::InvalidRequest, "{body}");
        }
    }

    /// TOK-24, C4
    #[test]
    fn who_does_not_say_readably_who_it_is_is_nobody() {
        for body in [
            "",
            "client_secret=s",
            "client_id=",
            "client_id=c&client_assertion=x",
        ] {
            assert_eq!(refusal(None, body), ErrorCode::InvalidClient, "{body}");
        }
        for header in [
            basic_header("no colon"),
            basic_header(":s"),
            basic_header(""),
            basic_header("c\nlevel=error:s"),
            basic_header("c%0Alevel=error:s"),
            b"Basic !!!".to_vec(),
            b"Basic /w==".to_vec(),
            b"Basic ".to_vec(),
            b"Basic".to_vec(),
            b"BasicYzpz".to_vec(),
            b"Bearer x".to_vec(),
            b"".to_vec(),
            vec![0xff, 0xfe],
        ] {
            let refused = refusal(Some(&header), "client_id=c");
            assert_eq!(refused, ErrorCode::InvalidClient, "{header:?}");
        }
    }

    /// TOK-21
    #[test]
    fn a_header_has_a_second_reading_where_decoding_makes_a_difference() {
        for (pair, readings) in [
            ("c:s", &[("c", Some("s"))][..]),
            ("c:a+b", &[("c", Some("a b")), ("c", Some("a+b"))]),
            ("c%3Ad:s", &[("c:d", Some("s")), ("c%3Ad", Some("s"))]),
            ("c:%zz", &[("c", Some("%zz"))]),
            ("c:%FF", &[("c", Some("%FF"))]),
            ("c:a:b", &[("c", Some("a:b"))]),
            ("c:", &[("c", None)]),
        ] {
            let form = Form::parse(b"").unwrap();
            let credentials = Credentials::parse(Some(&basic_header(pair)), &form).unwrap();
            let read: Vec<_> = credentials.readings().collect();
            let read: Vec<_> = read
                .iter()
                .map(|(id, secret)| (id.as_str(), secret.map(Secret::expose)))
                .collect();
            assert_eq!(read, readings, "{pair}");
        }
    }

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    fn asserting(assertion: &str, rest: &str) -> Form {
        let body = format!("client_assertion={assertion}&client_assertion_type={JWT_BEARER}{rest}");
        Form::parse(body.as_bytes()).unwrap()
    }

    /// TOK-22
    #[test]
    fn an_assertion_names_the_client_and_proves_nothing_yet() {
        let assertion = jwt(r#"{"iss":"c","sub":"c","aud":["x"],"exp":1,"sub2":{}}"#);
        for rest in ["", "&client_id=c", "&client_secret=", "&client_id="] {
            let credentials = Credentials::parse(None, &asserting(&assertion, rest)).unwrap();
            assert_eq!(credentials.client_id.as_str(), "c");
            let read = credentials.assertion().map(Secret::expose);
            assert_eq!(read, Some(assertion.as_str()));
            assert!(!format!("{credentials:?}").contains(&assertion));
            for client in [
                client("c", None),
                client("c", Some("s")),
                keys("c", true),
                keys("c", false),
            ] {
                assert!(!credentials.prove(&client), "{client:?}");
            }
        }
        let other = asserting(&assertion, "&client_id=d");
        let refused = Credentials::parse(None, &other).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidRequest);
    }

    /// TOK-24
    #[test]
    fn an_assertion_of_another_type_or_of_nobody_is_refused() {
        let saml = "urn:ietf:params:oauth:client-assertion-type:saml2-bearer";
        let assertion = jwt(r#"{"sub":"c"}"#);
        for (kind, assertion) in [
            ("", assertion.as_str()),
            ("jwt-bearer", &assertion),
            (saml, &assertion),
            (&JWT_BEARER.to_uppercase(), &assertion),
            (JWT_BEARER, ""),
            (JWT_BEARER, "x"),
            (JWT_BEARER, &jwt("{}")),
        ] {
            let body =
                format!("client_id=c&client_assertion_type={kind}&client_assertion={assertion}");
            assert_eq!(refusal(None, &body), ErrorCode::InvalidClient, "{body}");
        }
    }

    fn keys(id: &str, or_none: bool) -> Client {
        let keys = KeySource::At("https://a.example/k".to_owned());
        let authentication = ClientAuthentication::Keys { keys, or_none };
        Client {
            authentication,
            ..client(id, None)
        }
    }

    /// CLI-13, CLI-14, C6
    #[test]
    fn a_client_with_keys_comes_without_only_where_it_says_so_and_with_nothing_else() {
        for (header, body, or_none) in [
            (None, "client_id=c", true),
            (None, "client_id=c&client_secret=", false),
            (None, "client_id=c&client_assertion=", false),
            (None, "client_id=c&client_assertion_type=", false),
            (None, "client_id=c&client_secret=s", false),
            (None, "client_id=d", false),
            (Some("c:"), "", false),
            (Some("c:"), "client_id=c", false),
            (Some("c:s"), "", false),
        ] {
            let header = header.map(basic_header);
            let form = Form::parse(body.as_bytes()).unwrap();
            let credentials = Credentials::parse(header.as_deref(), &form).unwrap();
            assert_eq!(
                credentials.prove(&keys("c", true)),
                or_none,
                "{header:?} {body}"
            );
            assert!(!credentials.prove(&keys("c", false)), "{header:?} {body}");
        }
    }

    #[test]
    fn credentials_do_not_print_the_secret() {
        let form = Form::parse(b"").unwrap();
        let credentials = Credentials::parse(Some(&basic_header("c:s3c+ret")), &form).unwrap();
        assert!(!format!("{credentials:?}").contains("s3c"));
    }
}

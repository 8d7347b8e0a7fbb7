//! Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document): a `client_id` that is an https URL, and
//! the document that it names -> [`Client`].

use serde::{Deserialize, Serialize};
use url::Url;

use super::client::{Client, ClientAuthentication, ClientSource};
use super::client_members::{Metadata, Method, invalid, list, text};
use super::error::{ErrorCode, OAuthError};
use super::ids::ClientId;
use super::uri_text::{UrlFault, parse_https};
use crate::clock::UnixTime;

/// A `client_id` that is the URL of a document, kept as the text it came as (§3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocumentUrl {
    text: String,
    url: Url,
}

/// A document as it was last read: what is kept of it, in memory and in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientDocument {
    /// The client that it describes.
    pub client: Client,
    /// When it was asked for.
    pub fetched_at: UnixTime,
    /// Until when it need not be read again.
    pub fresh_until: UnixTime,
    /// `ETag`
    pub etag: Option<String>,
    /// By which [`RULES`] it was read: what is unchanged since is not good by later ones.
    pub rules: u16,
}

/// Counts the rules of [`read`]: one more with each change that refuses or leaves out what was accepted before.
pub const RULES: u16 = 1;

impl DocumentUrl {
    /// The URL that a client id is; none where it is no URL at all.
    ///
    /// It is https with a path that names a document, written as it is printed (§3), and at most 2048 bytes long. A query,
    /// which §3 only advises against, is refused: a page that answers with what it is asked would be a document in the
    /// name of its host, written by anybody, and no client is known that has one. Which hosts and ports are asked is for
    /// whoever fetches to say.
    ///
    /// # Errors
    /// `invalid_client`, with the rule that the URL breaks (CLI-02).
    pub fn parse(id: &ClientId) -> Result<Option<Self>, OAuthError> {
        let text = id.as_str();
        if !is_url(text) {
            return Ok(None);
        }
        let refused = |rule| Err(ErrorCode::InvalidClient.with(rule));
        let url = match parse_https(text) {
            Ok(url) => url,
            Err(fault) => return refused(rule(fault)),
        };
        if url.path().bytes().all(|byte| byte == b'/') {
            return refused("a client_id that is a URL must have a path that names a document");
        }
        if url.query().is_some() {
            return refused("a client_id that is a URL must not have a query");
        }
        let text = text.to_owned();
        Ok(Some(Self { text, url }))
    }

    /// The text of it, byte for byte: the client id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL, to be fetched.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The host: what a person is shown.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// Reads the document at `url` (§4.1).
///
/// # Errors
/// `invalid_client_metadata` or `invalid_redirect_uri`, with the member and the rule.
pub fn read(url: &DocumentUrl, body: &[u8]) -> Result<Client, OAuthError> {
    let metadata = Metadata::read(body)?;
    let id = metadata.get("client_id");
    if id.is_none_or(|id| id != url.as_str()) {
        return Err(invalid(
            "client_id is missing, or is not the URL of the document, letter for letter",
        ));
    }
    for (name, refusal) in SECRETS {
        if metadata.get(name).is_some() {
            return Err(invalid(refusal));
        }
    }
    let authentication = authentication(&metadata)?;
    let members = metadata.members()?;
    let name = members.name.ok_or(invalid(
        "client_name is missing, or has no character that can be seen",
    ))?;
    Ok(Client {
        id: ClientId::new(url.as_str()),
        name: Some(name),
        uri: members.page,
        logo: members.logo,
        redirect_uris: members.redirect_uris,
        authentication,
        refreshes: members.refreshes,
        // `scope` is what a client may ask for, and it will be asked with each request
        scopes: None,
        source: ClientSource::Document,
    })
}

/// What everybody can read is no secret (§4.1).
const SECRETS: [(&str, &str); 2] = [
    (
        "client_secret",
        "client_secret must not be in a document that everybody can read",
    ),
    (
        "client_secret_expires_at",
        "client_secret_expires_at must not be in a document: its client has no secret",
    ),
];

/// How the client may prove itself: in the way that it names, or in one of those that it lists, as `ChatGPT` does
/// (CLI-13). Where it says nothing it is public: the default of RFC 7591 would be a secret (CLI-11).
fn authentication(metadata: &Metadata) -> Result<ClientAuthentication, OAuthError> {
    let named = text(
        metadata.get("token_endpoint_auth_method"),
        "token_endpoint_auth_method is not a string",
    )?;
    if named.is_some_and(|method| method.starts_with("client_secret_")) {
        return Err(invalid(
            "token_endpoint_auth_method must not be one with a secret: everybody can read the document",
        ));
    }
    let listed = list(
        metadata.get("token_endpoint_auth_methods_supported"),
        "token_endpoint_auth_methods_supported is not a list of strings",
    )?;
    let mut says_any = false;
    let mut offers = [false, false];
    for name in named.into_iter().chain(listed) {
        says_any = true;
        match Method::parse(name) {
            Some(Method::None) => offers[0] = true,
            Some(Method::PrivateKeyJwt) => offers[1] = true,
            Some(Method::ClientSecretBasic | Method::ClientSecretPost) | None => {}
        }
    }
    match offers {
        [or_none, true] => Ok(ClientAuthentication::Keys {
            keys: metadata.keys()?,
            or_none,
        }),
        [true, false] => Ok(ClientAuthentication::None),
        [false, false] if !says_any => Ok(ClientAuthentication::None),
        [false, false] => Err(invalid(
            "token_endpoint_auth_method must be none or private_key_jwt, or its list must have one of them",
        )),
    }
}

/// Whether an id is meant as a URL. Those given out here are not, nor is a name of the configuration.
fn is_url(id: &str) -> bool {
    let id = id.trim_start();
    let begins = |scheme: &str| {
        id.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    begins("https:") || begins("http:") || id.contains("://")
}

/// The sentence that a person reads.
fn rule(fault: UrlFault) -> &'static str {
    match fault {
        UrlFault::TooLong => "a client_id that is a URL must not be longer than 2048 bytes",
        UrlFault::Characters => {
            "a client_id that is a URL must be ASCII without spaces, backslashes and broken escapes"
        }
        UrlFault::NotHttps => {
            "a client_id that is a URL must be https, and begin with https:// in small letters"
        }
        UrlFault::UserName => "a client_id that is a URL must not have a user name before its host",
        UrlFault::Fragment => "a client_id that is a URL must not have a fragment",
        UrlFault::DotSegments => {
            "a client_id that is a URL must not have . or .. as a part of its path, nor escaped"
        }
        UrlFault::Disguised => {
            "a client_id that is a URL must be written plainly: host in small letters, no usual port, no other form of an address"
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::client::KeySource;
    use crate::protocol::redirect_uri::RedirectUri;

    fn parse(id: &str) -> Result<Option<DocumentUrl>, OAuthError> {
        DocumentUrl::parse(&ClientId::new(id))
    }

    /// CLI-01, CLI-02
    #[test]
    fn a_client_id_that_is_a_url_is_the_plain_https_url_of_a_document() {
        for id in [
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            "https://chatgpt.com/oauth/0a1B2c/client.json",
            "https://www.mcpjam.com/.well-known/oauth/client-metadata.json",
            "https://a.example:8443/client",
            "https://a.example/client/",
            "https://xn--bcher-kva.example/c",
            // where it may not be asked, whoever fetches says so
            "https://127.0.0.1/c",
            "https://[::1]:8443/c",
        ] {
            let url = parse(id).unwrap().unwrap();
            assert_eq!((url.as_str(), url.url().as_str()), (id, id));
        }
        assert_eq!(
            parse("https://a.example:8443/c").unwrap().unwrap().host(),
            "a.example"
        );
        for id in [
            "",
            "ci",
            "AZvbJ0sAAAAAAAAAAAAAAAAAAAAAAAAA",
            "a/b",
            "c:d",
            "httpsx",
            "//a.example/c",
        ] {
            assert_eq!(parse(id), Ok(None), "{id}");
        }
    }

    /// CLI-02, C1
    #[test]
    fn a_client_id_that_is_meant_as_a_url_but_breaks_a_rule_is_refused_by_that_rule() {
        let long = format!("https://a.example/{}", "x".repeat(2031));
        for (id, rule) in [
            ("http://a.example/c", "must be https"),
            ("HTTPS://a.example/c", "must be https"),
            ("HtTp://a.example/c", "must be https"),
            ("https:/a.example/c", "must be https"),
            ("https:a.example/c", "must be https"),
            ("ftp://a.example/c", "must be https"),
            (" https://a.example/c", "spaces"),
            ("\thttps://a.example/c", "spaces"),
            ("https://a.example/c\n", "spaces"),
            ("https://a.example/c d", "spaces"),
            ("https://a.example\\c", "backslashes"),
            ("https://a.example/c%5c..%5cd", "broken escapes"),
            ("https://a.example/%zz", "broken escapes"),
            ("https://a.example/%00", "broken escapes"),
            ("https://b\u{fc}cher.example/c", "ASCII"),
            ("https://a.example/\u{202e}c", "ASCII"),
            ("https://a.example", "path"),
            ("https://a.example/", "path"),
            ("https://a.example//", "path"),
            ("https://a.example?x", "plainly"),
            ("https://a.example/c?x=1", "query"),
            ("https://a.example/c?", "query"),
            ("https://a.example/c#", "fragment"),
            ("https://a.example/c#x", "fragment"),
            ("https://a.example#/c", "fragment"),
            ("https://u@a.example/c", "user name"),
            ("https://u:p@a.example/c", "user name"),
            ("https://@a.example/c", "user name"),
            ("https://:@a.example/c", "user name"),
            ("https://claude.ai@a.example/c", "user name"),
            ("https://a.example/./c", ". or .."),
            ("https://a.example/d/../c", ". or .."),
            ("https://a.example/c/..", ". or .."),
            ("https://a.example/%2e/c", ". or .."),
            ("https://a.example/%2E%2e/c", ". or .."),
            ("https://a.example/.%2E/c", ". or .."),
            ("https://a.example/d%2f..%2fc", ". or .."),
            ("https://a.example/d%2F%2e%2E/c", ". or .."),
            ("https://A.example/c", "plainly"),
            ("https://a.example:443/c", "plainly"),
            ("https://a.example:/c", "plainly"),
            ("https://a.example:0/c", "plainly"),
            ("https://a.example./c", "plainly"),
            ("https://a%2eexample/c", "plainly"),
            ("https://127.1/c", "plainly"),
            ("https://0x7f000001/c", "plainly"),
            ("https://2130706433/c", "plainly"),
            ("https://[::ffff:127.0.0.1]/c", "plainly"),
            ("https:///c", "plainly"),
            ("https://a.example:99999/c", "plainly"),
            (&long, "2048"),
        ] {
            let refused = parse(id).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidClient, "{id}");
            assert!(refused.description.contains(rule), "{id}: {refused}");
        }
    }

    const URL: &str = "https://a.example/client.json";

    fn document(rest: Value) -> Result<Client, OAuthError> {
        let mut body = json!({"client_id": URL, "client_name": "A", "redirect_uris": ["https://b.example/cb"]});
        let rest: serde_json::Map<String, Value> = serde_json::from_value(rest).unwrap();
        body.as_object_mut().unwrap().extend(rest);
        read(&parse(URL).unwrap().unwrap(), body.to_string().as_bytes())
    }

    /// CLI-08, CLI-09, CLI-10, CLI-12
    #[test]
    fn a_document_describes_a_client() {
        let client = document(json!({
            "client_name": "Visual Studio Code",
            "client_uri": "https://code.example/",
            "logo_uri": "https://code.example/logo.png",
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"],
            "redirect_uris": ["http://127.0.0.1:33418/", "javascript:alert(1)", "https://vscode.dev/redirect"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            "scope": "anything",
            "contacts": ["x"],
        }))
        .unwrap();
        let places: Vec<_> = client
            .redirect_uris
            .iter()
            .map(RedirectUri::as_str)
            .collect();
        assert_eq!(
            places,
            ["http://127.0.0.1:33418/", "https://vscode.dev/redirect"]
        );
        assert_eq!(client.id.as_str(), URL);
        assert_eq!(client.name.as_deref(), Some("Visual Studio Code"));
        assert_eq!(client.uri.as_deref(), Some("https://code.example/"));
        assert_eq!(
            client.logo.as_deref(),
            Some("https://code.example/logo.png")
        );
        assert_eq!(client.authentication, ClientAuthentication::None);
        assert_eq!(
            (client.refreshes, client.source),
            (true, ClientSource::Document)
        );
        let least = document(json!({"logo_uri": "http://10.0.0.1/"})).unwrap();
        assert_eq!(least.authentication, ClientAuthentication::None);
        assert_eq!((least.refreshes, least.logo), (false, None));
    }

    /// CLI-08, CLI-09, CLI-10, CLI-11, CLI-39, CLI-41
    #[test]
    fn a_document_that_breaks_a_rule_is_refused_by_the_name_of_the_member() {
        for (member, value) in [
            ("client_id", json!(null)),
            ("client_id", json!(7)),
            ("client_id", json!("https://a.example/client.json/")),
            ("client_id", json!("https://A.example/client.json")),
            ("client_id", json!("https://a.example:443/client.json")),
            ("client_id", json!("https://b.example/client.json")),
            ("client_name", json!(null)),
            ("client_name", json!("\u{202e}")),
            ("client_name", json!(["A"])),
            ("client_secret", json!("s")),
            ("client_secret_expires_at", json!(0)),
            ("grant_types", json!(["refresh_token"])),
            ("response_types", json!(["token"])),
            ("token_endpoint_auth_methods_supported", json!("none")),
        ] {
            let refused = document(json!({ member: value.clone() })).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidClientMetadata, "{member}");
            let named = refused.description.split(' ').next();
            assert_eq!(named, Some(member), "{value}: {refused}");
        }
        for rest in [
            json!({"redirect_uris": null}),
            json!({"redirect_uris": ["http://b.example/"]}),
            json!({"redirect_uris": ["http://localhost/"], "application_type": "web"}),
        ] {
            let refused = document(rest.clone()).unwrap_err();
            assert_eq!(refused.code, ErrorCode::InvalidRedirectUri, "{rest}");
        }
        let twice = format!(
            r#"{{"client_id":"{URL}","client_name":"A","client_id":"{URL}","redirect_uris":["http://localhost/"]}}"#
        );
        assert!(read(&parse(URL).unwrap().unwrap(), twice.as_bytes()).is_err());
    }

    /// CLI-11, CLI-13, CLI-14
    #[test]
    fn a_client_proves_itself_as_its_document_names_or_lists() {
        let (none, keys) = ("none", "private_key_jwt");
        let (basic, tls) = ("client_secret_basic", "tls_client_auth");
        let at = KeySource::At("https://a.example/keys".to_owned());
        // what is named, what is listed, and what is good: none, keys
        for (named, listed, expected) in [
            ("", &[][..], Some([true, false])),
            (none, &[], Some([true, false])),
            ("", &[none], Some([true, false])),
            ("", &[none, tls], Some([true, false])),
            (keys, &[], Some([false, true])),
            ("", &[keys], Some([false, true])),
            (keys, &[tls], Some([false, true])),
            (keys, &[none, keys], Some([true, true])),
            (none, &[keys], Some([true, true])),
            ("", &[none, keys, basic], Some([true, true])),
            (basic, &[], None),
            (basic, &[none], None),
            ("client_secret_post", &[keys], None),
            ("client_secret_jwt", &[], None),
            (tls, &[], None),
            ("", &[basic], None),
            ("NONE", &[], None),
        ] {
            let mut rest = json!({"token_endpoint_auth_method": named, "token_endpoint_auth_methods_supported": listed});
            // with keys, there must be keys
            let without = document(rest.clone()).ok();
            let is_public = expected == Some([true, false]);
            assert_eq!(without.is_some(), is_public, "{rest}");
            rest["jwks_uri"] = json!("https://a.example/keys");
            let read = document(rest.clone())
                .ok()
                .map(|client| client.authentication);
            let expected = expected.map(|good| match good {
                [_, false] => ClientAuthentication::None,
                [or_none, true] => {
                    let keys = at.clone();
                    ClientAuthentication::Keys { keys, or_none }
                }
            });
            assert_eq!(read, expected, "{rest}");
        }
    }
}

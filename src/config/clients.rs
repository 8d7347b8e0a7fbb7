//! `[clients]`: which clients may come, and how.

use std::time::Duration;

use url::Url;

use super::problem::Wrong;
use super::reader::Reader;
use super::value::{self, RegistrationMode};
use super::{Clients, KnownClient, Registration};
use crate::protocol::authorize::OFFLINE_ACCESS;
use crate::protocol::ids::ClientId;
use crate::protocol::method_pattern::MethodPattern;
use crate::protocol::redirect_uri::RedirectUri;
use crate::protocol::scope::{Scope, ScopeSet};
use crate::secret::SecretDigest;

/// How clients come in. `scopes` are those that there are.
pub(super) fn all(
    reader: &mut Reader<'_>,
    scopes: Option<&[(Scope, Vec<MethodPattern>)]>,
) -> Option<Clients> {
    let metadata_documents = reader.flag_or("clients.metadata_documents", true);
    let document_hosts = reader.list("clients.document_hosts", host);
    let registration = registration(reader);
    let redirect_hosts = reader.list("clients.redirect_hosts", host);
    let known = known(reader, scopes);
    if !metadata_documents {
        for key in ["clients.document_hosts", "outbound.private_hosts"] {
            if reader.is_set(key) {
                reader.warn(key, "does nothing: clients.metadata_documents is false");
            }
        }
    } else if reader.is_set("outbound.proxy") {
        let what = "is not used for metadata documents, keys and logos of clients, which are fetched from where the \
                    connection goes to an address that was checked: where there is no other way out, write \
                    clients.metadata_documents = false";
        reader.warn("outbound.proxy", what);
    }
    let unused_expire = reader.lifetime(
        "clients.unused_expire",
        Clients::default().unused_expire,
        MINUTE..=YEAR,
    );
    let clients = Clients {
        metadata_documents,
        document_hosts: document_hosts?,
        registration: registration?,
        redirect_hosts: redirect_hosts?,
        known: known?,
        unused_expire: unused_expire?,
    };
    let closed = matches!(clients.registration, Registration::Off) && clients.known.is_empty();
    if closed && !metadata_documents {
        let what =
            "is \"off\", metadata_documents is false and none is named: no new client can come in";
        reader.warn("clients.registration", what);
    }
    Some(clients)
}

fn registration(reader: &mut Reader<'_>) -> Option<Registration> {
    let mode = reader.value("clients.registration", &RegistrationMode::Open);
    if mode == Some(RegistrationMode::Token) {
        return reader.secret(TOKEN).map(Registration::Token);
    }
    if reader.is_set(TOKEN) && mode.is_some() {
        reader.warn(TOKEN, r#"does nothing: registration is not "token""#);
    }
    Some(match mode? {
        RegistrationMode::Off => Registration::Off,
        _ => Registration::Open,
    })
}

fn known(
    reader: &mut Reader<'_>,
    scopes: Option<&[(Scope, Vec<MethodPattern>)]>,
) -> Option<Vec<KnownClient>> {
    let numbers = reader.settings.numbered_tables("clients.known")?;
    let known: Vec<Option<KnownClient>> = numbers
        .iter()
        .map(|number| client(reader, number, scopes))
        .collect();
    let known: Vec<KnownClient> = known.into_iter().collect::<Option<_>>()?;
    for (number, client) in known.iter().enumerate() {
        if known[..number].iter().any(|other| other.id == client.id) {
            let remedy = "write an id of its own for each [[clients.known]]";
            let wrong = Wrong::new("is the id of another client", remedy);
            return reader.refuse(&format!("clients.known.{number}.id"), wrong);
        }
    }
    Some(known)
}

fn client(
    reader: &mut Reader<'_>,
    number: &str,
    scopes: Option<&[(Scope, Vec<MethodPattern>)]>,
) -> Option<KnownClient> {
    let key = |word: &str| format!("clients.known.{number}.{word}");
    let id = if reader.is_set(&key("id")) {
        reader.parsed(&key("id"), "", client_id)
    } else {
        reader.missing(&key("id"))
    };
    let name = if reader.is_set(&key("name")) {
        reader.parsed(&key("name"), "", |text| value::title(text).map(Some))
    } else {
        Some(None)
    };
    let secret = if reader.is_set(&key("secret_sha256")) {
        secret(reader, &key("secret_sha256")).map(Some)
    } else {
        Some(None)
    };
    let redirect_uris = reader.list(&key("redirect_uris"), redirect_uri);
    if redirect_uris.as_ref().is_some_and(Vec::is_empty) {
        return reader.missing(&key("redirect_uris"));
    }
    let is_limited = reader.is_set(&key("scopes"));
    let limit = reader.list(&key("scopes"), |text| scope(text, scopes));
    let opens = |scope: &Scope| scope.as_str() != OFFLINE_ACCESS;
    if is_limited && limit.as_ref().is_some_and(|limit| !limit.iter().any(opens)) {
        let remedy = "write the scopes that it may be given, or take the line out: then it may be given every one";
        return reader.refuse(&key("scopes"), Wrong::new("opens nothing", remedy));
    }
    Some(KnownClient {
        id: id?,
        name: name?,
        secret: secret?,
        redirect_uris: redirect_uris?,
        scopes: is_limited.then_some(limit?.into_iter().collect::<ScopeSet>()),
    })
}

fn secret(reader: &mut Reader<'_>, key: &str) -> Option<SecretDigest> {
    let hex = reader.unseen(key)?;
    let mut digest = [0; 32];
    let is_digest = hex.len() == 64
        && digest.iter_mut().enumerate().all(|(at, byte)| {
            u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).is_ok_and(|read| {
                *byte = read;
                true
            })
        });
    if is_digest && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(SecretDigest::from_bytes(digest));
    }
    let remedy = "make a secret with: openssl rand -hex 32; and write what printf %s SECRET | sha256sum prints, 64 \
                  characters, here";
    reader.refuse(key, Wrong::new("is not SHA-256 in hexadecimal", remedy))
}

fn client_id(text: &str) -> Result<ClientId, Wrong> {
    // RFC 6749 appendix A.1
    let is_fit = !text.is_empty()
        && text.len() <= 2048
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':')
        || text.starts_with("https://") && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_fit {
        return Ok(ClientId::new(text));
    }
    Err(Wrong::new(
        "is not a client id",
        "write up to 2048 letters, digits and signs without spaces and colons, or the URL of a metadata document",
    ))
}

fn redirect_uri(text: &str) -> Result<RedirectUri, Wrong> {
    RedirectUri::parse(text).map_err(|refused| {
        Wrong::new(
            format!("is refused: {}", refused.description),
            r#"write each as the client sends it, such as "https://ci.acme.com/callback" or "http://127.0.0.1/callback""#,
        )
    })
}

fn scope(text: &str, scopes: Option<&[(Scope, Vec<MethodPattern>)]>) -> Result<Scope, Wrong> {
    let exists = |scope: &Scope| {
        scope.as_str() == OFFLINE_ACCESS
            // where [scopes] itself is wrong, that is what needs a word
            || scopes.is_none_or(|scopes| scopes.iter().any(|(known, _)| known == scope))
    };
    Scope::parse(text).filter(exists).ok_or_else(|| {
        Wrong::new(
            "holds a scope that there is not",
            "write scopes of [scopes] or of a server, or offline_access",
        )
    })
}

/// A host name, as it stands in URLs.
fn host(text: &str) -> Result<String, Wrong> {
    let as_written = Url::parse(&format!("https://{text}/"))
        .ok()
        .is_some_and(|url| url.host_str() == Some(text) && url.port().is_none());
    // the URL parser takes a * for the name of a host
    if as_written && !text.contains('*') {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        "holds something that is not a host name",
        r#"write each in small letters, without scheme, port and path: "claude.ai""#,
    ))
}

/// A place that is asked although it is not public: `host:port`.
pub(super) fn private_host(text: &str) -> Result<(String, u16), Wrong> {
    let read = || {
        let (host, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
        Some((self::host(host).ok()?, port))
    };
    read().ok_or_else(|| {
        Wrong::new(
            "holds something that is not a host and a port",
            r#"write each as "localhost:8443""#,
        )
    })
}

const TOKEN: &str = "clients.registration_token";
const MINUTE: Duration = Duration::from_secs(60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_written_as_in_urls() {
        for (text, accepted) in [
            ("claude.ai", true),
            ("localhost", true),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("Claude.ai", false),
            ("https://claude.ai", false),
            ("claude.ai:443", false),
            ("claude.ai/", false),
            ("claude.ai/x", false),
            ("user@claude.ai", false),
            ("claude.ai?x", false),
            ("*.claude.ai", false),
            ("127.1", false),
            ("", false),
        ] {
            assert_eq!(host(text).is_ok(), accepted, "{text:?}");
        }
        for (text, accepted) in [
            ("localhost:8443", true),
            ("[::1]:8443", true),
            ("localhost", false),
            ("::1:8443", false),
            (":8443", false),
            ("localhost:", false),
            ("localhost:https", false),
            ("localhost:8443/client.json", false),
            ("somebody@localhost:8443", false),
            ("localhost:0", false),
            ("localhost:99999", false),
            ("https://localhost:8443", false),
        ] {
            assert_eq!(private_host(text).is_ok(), accepted, "{text:?}");
        }
    }

    #[test]
    fn a_client_id_has_neither_space_nor_colon_or_is_a_url() {
        for (text, accepted) in [
            ("ci", true),
            ("c_1.x-~", true),
            ("https://ci.acme.com/client.json", true),
            ("", false),
            ("a b", false),
            // Basic would end the id there (RFC 7617 §2)
            ("a:b", false),
            ("http://ci.acme.com/client.json", false),
            ("\u{e4}", false),
        ] {
            assert_eq!(client_id(text).is_ok(), accepted, "{text:?}");
        }
    }
}

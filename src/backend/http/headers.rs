//! The headers that end here, on the way in and on the way out.

use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName};

/// Headers by which servers learn, behind some proxy or other, who calls and from where, and of which file or method
/// it is. All are ours to set. In order, and none begins with another: one look finds the one that counts.
static TOLD_BY_PROXIES: [&str; 13] = [
    "cf-",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "front-end-",
    "oidc-",
    // a server that goes by CGI takes `Proxy` for its own setting
    "proxy",
    "remote-",
    "shib-",
    "ssl-client-",
    "tailscale-",
    "true-client-ip",
    "wl-proxy-",
];

/// The same, of those that begin with `x-`.
static TOLD_BY_PROXIES_AFTER_X: [&str; 43] = [
    "accel-",
    "access-token",
    "amzn-",
    "anteroom-",
    "appengine-",
    "arr-",
    "auth-",
    "authenticated-",
    "authentik-",
    "azure-client",
    "client-",
    "cluster-client-ip",
    "consumer-",
    "credential-",
    "email",
    "envoy-",
    "forwarded",
    "goog-",
    "groups",
    "host",
    "http-",
    "id-token",
    "jwt-",
    "method-override",
    "ms-client-principal",
    "ms-token-",
    "original-",
    "pomerium-",
    "proxy",
    "real-",
    "remote-",
    "rewrite-",
    "roles",
    "scheme",
    "script-name",
    "sendfile",
    "serverless-authorization",
    "ssl-",
    "token-",
    "url-scheme",
    "user",
    "vouch-",
    "webauth-",
];

/// Begins like what a proxy tells, but only links what belongs together in traces.
const TRACE: &str = "x-amzn-trace-id";

/// Takes out of a request what ends here, what only we may say, and what we have judged already.
pub(super) fn clean_request(headers: &mut HeaderMap) {
    remove(headers, ends_here);
}

/// Takes out of an answer what ends here, what is said to us and not to the client, and what would count for our whole
/// origin: there the sign-in lives.
pub(super) fn clean_answer(headers: &mut HeaderMap) {
    // RFC 9112 §6.3: the length was not that of the body
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    remove(headers, stays_inside);
}

/// One pass, and a list only where there is something to take out.
fn remove(headers: &mut HeaderMap, is_unwanted: fn(&str) -> bool) {
    let named = named_by_connection(headers);
    let unwanted: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in named.into_iter().chain(unwanted) {
        headers.remove(name);
    }
}

fn ends_here(name: &str) -> bool {
    let is_ours = matches!(
        name,
        "authorization" | "cookie" | "cookie2" | "host" | "expect"
            // The gate has judged it; the server's own list does not know our public origin.
            | "origin"
            // What is compressed cannot be looked into on its way back: lists are shortened to what the token may call.
            // And a server that compresses a stream holds events back.
            | "accept-encoding"
            // that of the judged body is written anew
            | "content-length"
    );
    is_ours || is_hop_by_hop(name) || is_ambiguous(name) || is_told_by_proxies(name)
}

fn stays_inside(name: &str) -> bool {
    let is_for_us = matches!(
        name,
        // Ours is the only challenge: after a server's own a client would throw a good token away.
        "www-authenticate" | "authentication-info" | "set-cookie" | "set-cookie2"
            // where the server is inside
            | "location" | "content-location" | "refresh"
            // for the whole origin
            | "alt-svc" | "clear-site-data" | "strict-transport-security" | "nel" | "report-to"
            | "reporting-endpoints" | "service-worker-allowed"
    );
    is_for_us
        || name.starts_with("access-control-")
        || is_hop_by_hop(name)
        || is_ambiguous(name)
        || is_told_by_proxies(name)
}

/// RFC 9110 §7.6.1, besides those that `Connection` names.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Servers that go by CGI take `X_Anteroom_User` for `X-Anteroom-User`, and some do so with any sign that is neither
/// letter nor digit. So only the hyphen passes; arguments of tools keep the names that their schema gives them.
fn is_ambiguous(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !name.bytes().all(is_plain) && !name.starts_with("mcp-param-")
}

fn is_told_by_proxies(name: &str) -> bool {
    let (prefixes, rest) = match name.strip_prefix("x-") {
        Some(rest) => (&TOLD_BY_PROXIES_AFTER_X[..], rest),
        None => (&TOLD_BY_PROXIES[..], name),
    };
    let after = prefixes.partition_point(|prefix| *prefix <= rest);
    let last = after.checked_sub(1).and_then(|before| prefixes.get(before));
    last.is_some_and(|prefix| rest.starts_with(prefix)) && name != TRACE
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers.get_all(CONNECTION).iter();
    let names = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(',').map(str::trim))
        // what nearly all of them say
        .filter(|name| !name.eq_ignore_ascii_case("keep-alive") && *name != "close")
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    // what the gate has judged the server is to see
    names
        .filter(|name| !name.as_str().starts_with("mcp-") && *name != CONTENT_TYPE)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(clean: fn(&mut HeaderMap), names: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for name in names {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name.clone(), "a".parse().unwrap());
            headers.append(name, "b".parse().unwrap());
        }
        clean(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::to_string).collect();
        left.sort_unstable();
        left
    }

    /// P6, P2, P12
    #[test]
    fn no_spelling_of_a_header_of_ours_passes_in_either_direction() {
        for word in [
            "x-anteroom-user",
            "X-ANTEROOM-USER",
            "x_anteroom_user",
            "X-Anteroom_User",
            "x.anteroom.user",
            "x-anteroom~user",
            "x-anteroom!user",
            "x-anteroom'user",
            "x-anteroom|user",
            "x-anteroom-",
            "x-anteroom-assertion",
            "x-anteroom-upstream-token",
            "x-forwarded",
            "x-forwarded-for",
            "x-forwarded-user",
            "x_forwarded_user",
            "forwarded",
            "forwarded-for",
            "x-original-url",
            "x-original-method",
            "x-rewrite-url",
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "x-real-ip",
            "x-host",
            "x-accel-redirect",
            "x-sendfile-type",
            "x-ms-client-principal",
            "x-envoy-original-path",
            "remote-user",
            "remote_user",
            "http_remote_user",
            "proxy",
            "proxy-authorization",
            "proxy-connection",
        ] {
            assert!(left(clean_request, &[word]).is_empty(), "{word}");
            assert!(left(clean_answer, &[word]).is_empty(), "{word}");
        }
    }

    /// P6, P12
    #[test]
    fn what_proxies_tell_passes_from_nobody_else() {
        for names in [
            "cf-connecting-ip client-ip fastly-client-ip forwarded front-end-https oidc-claim-sub proxy-user",
            "remote-user shib-identity-provider ssl-client-cert tailscale-user-login true-client-ip",
            "wl-proxy-client-ip",
            "x-accel-redirect x-access-token x-amzn-oidc-identity x-amzn-mtls-clientcert x-anteroom-user",
            "x-appengine-user-email x-arr-ssl x-auth-request-user x-auth-user x-auth-token x-authenticated-user",
            "x-authentik-username x-azure-clientip x-client-cert x-client-dn x-client-ip x-client-verify",
            "x-cluster-client-ip x-consumer-username x-credential-identifier x-email x-envoy-peer-metadata",
            "x-forwarded-user x-goog-authenticated-user-email x-groups x-host x-http-method x-id-token",
            "x-jwt-assertion x-jwt-payload x-method-override x-ms-client-principal-name",
            "x-ms-token-aad-access-token x-original-url x-pomerium-jwt-assertion x-proxy-user x-real-ip",
            "x-remote-user x-rewrite-url x-roles x-scheme x-script-name x-sendfile x-serverless-authorization",
            "x-ssl-client-s-dn x-token-subject x-url-scheme x-user x-user-id x-vouch-user x-webauth-user",
        ] {
            for name in names.split(' ') {
                assert!(left(clean_request, &[name]).is_empty(), "{name}");
                assert!(left(clean_answer, &[name]).is_empty(), "{name}");
            }
        }
    }

    #[test]
    fn one_look_into_the_lists_is_enough() {
        for list in [&TOLD_BY_PROXIES[..], &TOLD_BY_PROXIES_AFTER_X[..]] {
            for pair in list.windows(2) {
                assert!(
                    pair[0] < pair[1] && !pair[1].starts_with(pair[0]),
                    "{pair:?}"
                );
            }
        }
    }

    #[test]
    fn a_length_that_is_not_that_of_the_body_does_not_pass() {
        let both = ["content-length", "transfer-encoding"];
        assert!(left(clean_answer, &both).is_empty());
        assert_eq!(left(clean_answer, &both[..1]), both[..1]);
    }

    #[test]
    fn what_is_not_ours_passes() {
        let request = [
            "accept",
            "content-type",
            "last-event-id",
            "mcp-method",
            "mcp-param-user_id",
            "mcp-protocol-version",
            "mcp-session-id",
            "traceparent",
            "user-agent",
            "x-amzn-trace-id",
            "x-api-version",
            "x-request-id",
        ];
        assert_eq!(left(clean_request, &request), request);
        let answer = [
            "cache-control",
            "content-length",
            "content-type",
            "mcp-session-id",
            "retry-after",
            "x-request-id",
        ];
        assert_eq!(left(clean_answer, &answer), answer);
    }

    /// P6
    #[test]
    fn connection_names_what_ends_here_but_not_what_was_judged() {
        let mut headers = HeaderMap::new();
        for list in [
            "x-hop, Keep-Alive",
            "MCP-Protocol-Version,content-type, ,\"",
            "close",
        ] {
            headers.append(CONNECTION, list.parse().unwrap());
        }
        for name in ["x-hop", "mcp-protocol-version", "content-type", "accept"] {
            headers.append(name, "a".parse().unwrap());
        }
        clean_request(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "content-type", "mcp-protocol-version"]);
    }
}

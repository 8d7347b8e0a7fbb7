//! What a client may have of what there is: where answers to it may go, and which scopes it may be given.

use super::authorize::{OFFLINE_ACCESS, Offered};
use super::client::{Client, ClientSource};
use super::error::{ErrorCode, OAuthError};
use super::redirect_uri::RegisteredRedirect;
use super::resource_indicator::Resource;
use super::scope::{Scope, ScopeSet};

/// That answers may go to a host. A client of the configuration was given its redirect URIs by whoever says which hosts
/// may be; what stays on the person's machine, or goes to an app, is on no host (CLI-23). Our own addresses are for nobody:
/// an answer there would open one that a stranger wrote, as if we had sent the person.
///
/// # Errors
/// `invalid_request`, for the person: whoever is at that host is not told.
pub(super) fn check_host(
    redirect: RegisteredRedirect,
    client: &Client,
    offered: &Offered<'_>,
) -> Result<RegisteredRedirect, OAuthError> {
    if redirect.is_at(offered.issuer) {
        return Err(
            ErrorCode::InvalidRequest.with("the redirect_uri is an address of this server itself")
        );
    }
    if client.source == ClientSource::Known || redirect.host_allowed(offered.redirect_hosts) {
        return Ok(redirect);
    }
    Err(ErrorCode::InvalidRequest.with(
        "the redirect_uri leads to a host that is not among those that this server lets answers go to",
    ))
}

/// What may be granted at `resource`: what is asked for as far as it exists there, its default where nothing is asked for
/// (AUTHZ-12 to AUTHZ-14); and of either what the client may be given at most (CLI-62).
///
/// # Errors
/// `invalid_scope` where nothing is left, or `asked` is no list of scopes.
pub(super) fn scopes(
    asked: Option<&str>,
    client: &Client,
    resource: &Resource,
) -> Result<ScopeSet, OAuthError> {
    let asked = ScopeSet::parse(asked.unwrap_or_default())
        .ok_or(ErrorCode::InvalidScope.with("scope has characters that no scope has"))?;
    let existing = asked.intersection(&resource.scopes);
    let is_openid = |scope: &Scope| OPENID.contains(&scope.as_str());
    if existing.is_empty() && !asked.iter().all(is_openid) {
        return Err(ErrorCode::InvalidScope.with("none of the scopes exists here"));
    }
    // who asks for that alone wants the usual, and to stay
    let wanted = if existing.iter().all(opens_nothing) {
        existing.union(&resource.default_scopes)
    } else {
        existing
    };
    let Some(most) = &client.scopes else {
        return Ok(wanted);
    };
    cut(&wanted, most).ok_or(NONE_OF_THEM)
}

/// What a client may still be given of what it was granted once: less, where it may be given less since then (CLI-62). None
/// where that opens nothing any more.
#[must_use]
pub fn still_allowed(granted: &ScopeSet, client: &Client) -> Option<ScopeSet> {
    match &client.scopes {
        Some(most) => cut(granted, most),
        None => Some(granted.clone()),
    }
}

/// What a client may never be given of what there is (CLI-62).
#[must_use]
pub fn never_allowed(existing: &ScopeSet, client: &Client) -> ScopeSet {
    let Some(most) = &client.scopes else {
        return ScopeSet::default();
    };
    let beyond = existing.without(most);
    let beyond = beyond.iter().filter(|scope| !opens_nothing(scope));
    beyond.cloned().collect()
}

/// What a resource still has of what was granted for it once: less, where scopes were taken out since then. None where that
/// opens nothing any more.
#[must_use]
pub fn still_there(granted: &ScopeSet, resource: &Resource) -> Option<ScopeSet> {
    of_use(granted.intersection(&resource.scopes), granted)
}

/// What is open to a person of what was granted to a client of theirs, where `withheld` is not open to them. None where
/// that opens nothing any more.
#[must_use]
pub fn open_to_person(granted: &ScopeSet, withheld: &ScopeSet) -> Option<ScopeSet> {
    of_use(granted.without(withheld), granted)
}

/// What is left of what was granted: none where that opens nothing any more.
#[must_use]
pub fn of_use(left: ScopeSet, granted: &ScopeSet) -> Option<ScopeSet> {
    let is_of_use = left == *granted || !left.iter().all(opens_nothing);
    is_of_use.then_some(left)
}

/// What is left of `wanted` where `most` is the most; none where that opens nothing.
fn cut(wanted: &ScopeSet, most: &ScopeSet) -> Option<ScopeSet> {
    let left = wanted.iter();
    let left = left.filter(|scope| opens_nothing(scope) || most.contains(scope));
    let left: ScopeSet = left.cloned().collect();
    let is_of_use = !left.iter().all(opens_nothing);
    is_of_use.then_some(left)
}

/// A client asks only for what it may not be given.
pub const NONE_OF_THEM: OAuthError = OAuthError {
    code: ErrorCode::InvalidScope,
    description: "the client may be given none of the scopes that it asks for",
};
/// A client was granted what it may no longer be given.
pub const NONE_LEFT: OAuthError = OAuthError {
    code: ErrorCode::InvalidGrant,
    description: "the client may no longer be given any scope that was granted; sign in again",
};

/// Nothing of what was granted is there any more.
pub const NONE_THERE: OAuthError = OAuthError {
    code: ErrorCode::InvalidGrant,
    description: "the server that the tokens are for has none of the scopes that were granted any more; sign in again",
};

/// What tokens were granted for is not served any more.
pub const NOT_SERVED: OAuthError = OAuthError {
    code: ErrorCode::InvalidGrant,
    description: "the server that the tokens are for is not served here any more; sign in again",
};

/// A person came to have none of the scopes that a client was granted.
pub const NONE_OPEN: OAuthError = OAuthError {
    code: ErrorCode::InvalidGrant,
    description: "none of the scopes that were granted is open to the person any more",
};

/// Who asks for these alone wants the person to sign in, as everybody does here, and gets the usual with it: clients that
/// could not read what there is fall back to them (`OpenID` Connect Core §5.4).
const OPENID: [&str; 3] = ["openid", "email", "profile"];

fn opens_nothing(scope: &Scope) -> bool {
    scope.as_str() == OFFLINE_ACCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::client::ClientAuthentication;
    use crate::protocol::ids::ClientId;
    use crate::protocol::redirect_uri::RedirectUri;
    use crate::protocol::resource_indicator::Resources;

    fn client(source: ClientSource, scopes: Option<&str>) -> Client {
        Client {
            id: ClientId::new("c"),
            name: None,
            uri: None,
            logo: None,
            redirect_uris: Vec::new(),
            authentication: ClientAuthentication::None,
            refreshes: true,
            scopes: scopes.and_then(ScopeSet::parse),
            source,
        }
    }

    fn with_offer<T>(hosts: &[&str], then: impl FnOnce(&Offered<'_>) -> T) -> T {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        then(&Offered {
            issuer: "https://mcp.example.com",
            resources: &Resources::new(vec![resource()]),
            redirect_hosts: &hosts,
        })
    }

    fn resource() -> Resource {
        Resource {
            identifier: "https://mcp.example.com/mcp".to_owned(),
            scopes: ScopeSet::parse("a b c offline_access").unwrap(),
            default_scopes: ScopeSet::parse("a b").unwrap(),
        }
    }

    /// CLI-62
    #[test]
    fn a_client_gets_no_scope_beyond_those_that_it_may_have() {
        for (most, asked, granted) in [
            (Some("a"), None, Some("a")),
            (Some("a c"), Some("a b"), Some("a")),
            (
                Some("c"),
                Some("a b c offline_access"),
                Some("c offline_access"),
            ),
            (Some("a"), Some("offline_access"), Some("a offline_access")),
            (Some("a"), Some(" "), Some("a")),
            (Some("c"), None, None),
            (Some("c"), Some("a b"), None),
            (Some("c"), Some("offline_access"), None),
            (Some(""), None, None),
            (Some("x"), Some("x"), None),
            (None, Some("a x"), Some("a")),
            (None, None, Some("a b")),
        ] {
            let client = client(ClientSource::Known, most);
            let read = scopes(asked, &client, &resource());
            let read = read.map(|scopes| scopes.to_string());
            let wanted = granted.map(str::to_owned).ok_or(ErrorCode::InvalidScope);
            assert_eq!(
                read.map_err(|error| error.code),
                wanted,
                "{most:?} {asked:?}"
            );
        }
    }

    /// CLI-62
    #[test]
    fn what_was_granted_is_cut_to_what_the_client_may_have_now() {
        for (most, granted, left) in [
            (None, "a offline_access", Some("a offline_access")),
            (None, "", Some("")),
            (Some("a b"), "a", Some("a")),
            (Some("a"), "a b offline_access", Some("a offline_access")),
            (Some("c"), "a b offline_access", None),
            (Some("offline_access"), "a offline_access", None),
            (Some(""), "a", None),
        ] {
            let client = client(ClientSource::Known, most);
            let cut = still_allowed(&ScopeSet::parse(granted).unwrap(), &client);
            let cut = cut.map(|scopes| scopes.to_string());
            assert_eq!(cut.as_deref(), left, "{most:?} {granted}");
        }
    }

    /// TOK-35
    #[test]
    fn what_was_granted_is_cut_to_what_the_resource_has_now() {
        for (granted, left) in [
            ("a b", Some("a b")),
            ("a x", Some("a")),
            ("a x offline_access", Some("a offline_access")),
            ("x", None),
            ("x offline_access", None),
            ("offline_access", Some("offline_access")),
            ("", Some("")),
        ] {
            let cut = still_there(&ScopeSet::parse(granted).unwrap(), &resource());
            let cut = cut.map(|scopes| scopes.to_string());
            assert_eq!(cut.as_deref(), left, "{granted}");
        }
    }

    /// SEC-11
    #[test]
    fn what_was_granted_is_cut_to_what_is_open_to_the_person() {
        for (granted, withheld, left) in [
            ("a b", "", Some("a b")),
            ("a b", "b c", Some("a")),
            ("a offline_access", "b", Some("a offline_access")),
            ("b offline_access", "b", None),
            ("b", "b", None),
            ("offline_access", "b", Some("offline_access")),
            ("", "b", Some("")),
        ] {
            let set = |text| ScopeSet::parse(text).unwrap();
            let cut = open_to_person(&set(granted), &set(withheld));
            let cut = cut.map(|scopes| scopes.to_string());
            assert_eq!(cut.as_deref(), left, "{granted} {withheld}");
        }
    }

    /// CLI-23
    #[test]
    fn answers_go_to_hosts_that_are_allowed_and_to_the_person_themselves() {
        use ClientSource::{Document, Known};
        const WEB: &str = "https://a.example/cb";
        for (uri, source, hosts, allowed) in [
            (WEB, Document, &["a.example"][..], true),
            (WEB, Document, &["b.example", "A.example"], true),
            (WEB, Document, &["b.example"], false),
            (WEB, Document, &["example", "x.a.example", ""], false),
            (WEB, Document, &[], true),
            (WEB, Known, &["b.example"], true),
            ("https://a.example:8443/cb", Document, &["a.example"], true),
            ("http://localhost:5/cb", Document, &["b.example"], true),
            ("http://127.0.0.1:5/cb", Document, &["b.example"], true),
            ("com.example.app:/cb", Document, &["b.example"], true),
            (
                "https://mcp.example.com/authorize?x=1",
                Document,
                &[],
                false,
            ),
            ("https://MCP.example.com:443/", Known, &[], false),
            ("https://mcp.example.com:8443/cb", Known, &[], true),
            ("https://app.mcp.example.com/cb", Document, &[], true),
        ] {
            let redirect = RedirectUri::parse(uri).unwrap().admits(uri).unwrap();
            let client = client(source, None);
            let checked = with_offer(hosts, |offered| check_host(redirect, &client, offered));
            assert_eq!(checked.is_ok(), allowed, "{uri} {hosts:?}");
        }
    }
}

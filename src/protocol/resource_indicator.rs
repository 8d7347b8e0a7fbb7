//! Resource indicators (RFC 8707): which MCP server a token is for.

use url::Url;

use super::error::{ErrorCode, OAuthError};
use super::scope::ScopeSet;

/// One of our MCP servers, as clients ask for tokens for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its resource identifier, byte for byte.
    pub identifier: String,
    /// Every scope that can be granted there. The same name may open something else at another.
    pub scopes: ScopeSet,
    /// What is granted there when nothing is asked for.
    pub default_scopes: ScopeSet,
}

/// Our MCP servers; the first is the default.
#[derive(Clone, Debug)]
pub struct Resources {
    known: Vec<(Resource, Option<Url>)>,
}

impl Resources {
    /// These resources.
    #[must_use]
    pub fn new(resources: Vec<Resource>) -> Self {
        let known = resources.into_iter().map(|resource| {
            let url = comparable(&resource.identifier);
            (resource, url)
        });
        Self {
            known: known.collect(),
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.known.iter().map(|(resource, _)| resource)
    }

    /// Every scope of any of them.
    #[must_use]
    pub fn scopes(&self) -> ScopeSet {
        let scopes = self.iter().flat_map(|resource| resource.scopes.iter());
        scopes.cloned().collect()
    }

    /// The resource that something was granted for; none where it is not served any more.
    #[must_use]
    pub fn granted(&self, identifier: &str) -> Option<&Resource> {
        let mut resources = self.iter();
        resources.find(|resource| resource.identifier == identifier)
    }

    /// The resource that `asked` means. Clients write it in many ways: scheme and host in capitals, with the default
    /// port, with a slash at the end; and where there is but one resource, its bare origin means it as well.
    #[must_use]
    pub fn find(&self, asked: &str) -> Option<&Resource> {
        if let Some(same) = self.granted(asked) {
            return Some(same);
        }
        let url = comparable(asked)?;
        let alike = self
            .known
            .iter()
            .find(|(_, known)| known.as_ref() == Some(&url));
        if let Some((resource, _)) = alike {
            return Some(resource);
        }
        match self.known.as_slice() {
            [(only, Some(known))] if is_bare(&url) && url.origin() == known.origin() => Some(only),
            _ => None,
        }
    }

    /// The one resource of an authorization request; the default where none is named. The same one twice is one.
    ///
    /// # Errors
    /// `invalid_target` where one is not ours, or they differ: a token is for one audience (RFC 8707 §2.2).
    pub fn choose(
        &self,
        asked: impl Iterator<Item = impl AsRef<str>>,
    ) -> Result<&Resource, OAuthError> {
        let mut chosen: Option<&Resource> = None;
        for asked in asked {
            let found = self.find(asked.as_ref()).ok_or(NOT_OURS)?;
            if chosen.is_some_and(|chosen| chosen != found) {
                return Err(ErrorCode::InvalidTarget
                    .with("a token is for one resource: ask for each in a request of its own"));
            }
            chosen = Some(found);
        }
        chosen.or_else(|| self.iter().next()).ok_or(NOT_OURS)
    }
}

/// That a token request stays with the resource that was granted (RFC 8707 §2.2).
///
/// # Errors
/// `invalid_target` where it names another.
pub fn within_grant(
    resources: &Resources,
    granted: &str,
    asked: impl Iterator<Item = impl AsRef<str>>,
) -> Result<(), OAuthError> {
    for asked in asked {
        let asked = resources.find(asked.as_ref());
        if asked.is_none_or(|asked| asked.identifier != granted) {
            return Err(ErrorCode::InvalidTarget.with("the grant is for another resource"));
        }
    }
    Ok(())
}

/// The URL with case, default port and one slash at the end evened out; none where it cannot be a resource.
fn comparable(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    let fit = matches!(url.scheme(), "http" | "https")
        && !text.contains(['#', '\\'])
        && url.username().is_empty()
        && url.password().is_none();
    if !fit {
        return None;
    }
    if let Some(path) = url.path().strip_suffix('/').map(str::to_owned) {
        url.set_path(&path);
    }
    Some(url)
}

fn is_bare(url: &Url) -> bool {
    url.path() == "/" && url.query().is_none()
}

const NOT_OURS: OAuthError = OAuthError {
    code: ErrorCode::InvalidTarget,
    description: "the resource is none of this server: use the URL that the resource metadata state",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(identifier: &str, scopes: &str) -> Resource {
        Resource {
            identifier: identifier.to_owned(),
            scopes: ScopeSet::parse(scopes).unwrap(),
            default_scopes: ScopeSet::default(),
        }
    }

    fn one() -> Resources {
        Resources::new(vec![resource("https://mcp.example.com/mcp", "a")])
    }

    fn two() -> Resources {
        Resources::new(vec![
            resource("https://h/a", "a c"),
            resource("https://h/b", "b c"),
        ])
    }

    fn found_in<'a>(resources: &'a Resources, asked: &str) -> Option<&'a str> {
        let found = resources.find(asked);
        found.map(|resource| &*resource.identifier)
    }

    /// AUTHZ-10
    #[test]
    fn a_resource_is_found_however_clients_write_it() {
        for (asked, found) in [
            ("https://mcp.example.com/mcp", true),
            ("https://mcp.example.com/mcp/", true),
            ("HTTPS://MCP.Example.COM/mcp", true),
            ("https://mcp.example.com:443/mcp", true),
            ("https://mcp.example.com", true),
            ("https://mcp.example.com/", true),
            ("https://mcp.example.com/MCP", false),
            ("https://mcp.example.com/mcp//", false),
            ("https://mcp.example.com/mcp#x", false),
            ("https://mcp.example.com/mcp?x", false),
            ("https://mcp.example.com:8443/mcp", false),
            ("https://user@mcp.example.com/mcp", false),
            ("http://mcp.example.com/mcp", false),
            ("https://mcp.example.com.evil.example/mcp", false),
            ("https://evil.example/mcp", false),
            ("/mcp", false),
            ("", false),
            ("urn:mcp", false),
        ] {
            let expected = found.then_some("https://mcp.example.com/mcp");
            assert_eq!(found_in(&one(), asked), expected, "{asked}");
        }
    }

    #[test]
    fn the_origin_of_several_resources_means_none_of_them() {
        for (asked, expected) in [
            ("https://h", None),
            ("https://h/", None),
            ("https://h/b/", Some("https://h/b")),
            ("https://h/c", None),
        ] {
            assert_eq!(found_in(&two(), asked), expected, "{asked}");
        }
    }

    /// RS-11
    #[test]
    fn what_was_granted_is_for_the_resource_of_that_name_and_for_no_other_spelling() {
        let two = two();
        for (identifier, is_served) in [
            ("https://h/a", true),
            ("https://h/b", true),
            ("https://h/a/", false),
            ("https://H/a", false),
            ("https://h/c", false),
        ] {
            assert_eq!(two.granted(identifier).is_some(), is_served, "{identifier}");
        }
        assert_eq!(two.scopes().to_string(), "a b c");
    }

    /// AUTHZ-10, AUTHZ-11
    #[test]
    fn a_request_is_for_one_resource() {
        let two = two();
        for (asked, chosen) in [
            (&[][..], Some("https://h/a")),
            (&["https://h/b"], Some("https://h/b")),
            (&["https://h/b", "https://h/b/"], Some("https://h/b")),
            (&["https://h/a", "https://h/b"], None),
            (&["https://h/c"], None),
        ] {
            let got = two.choose(asked.iter());
            let got = got.ok().map(|resource| &*resource.identifier);
            assert_eq!(got, chosen, "{asked:?}");
            if chosen.is_none() {
                assert_eq!(
                    two.choose(asked.iter()).unwrap_err().code,
                    ErrorCode::InvalidTarget
                );
            }
        }
    }

    /// TOK-09, TOK-36
    #[test]
    fn a_token_request_stays_with_what_was_granted() {
        let two = two();
        assert!(within_grant(&two, "https://h/a", std::iter::empty::<&str>()).is_ok());
        assert!(within_grant(&two, "https://h/a", ["https://h/a/"].iter()).is_ok());
        let other = within_grant(&two, "https://h/a", ["https://h/b"].iter());
        assert_eq!(other.unwrap_err().code, ErrorCode::InvalidTarget);
    }
}

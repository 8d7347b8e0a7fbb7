//! Resource indicators (RFC 8707): which MCP server a token is for.

use url::Url;

use super::error::{ErrorCode, OAuthError};

/// The resource identifiers of our MCP servers; the first is the default.
#[derive(Clone, Debug)]
pub struct Resources {
    known: Vec<(String, Option<Url>)>,
}

impl Resources {
    /// These resources, byte for byte.
    #[must_use]
    pub fn new(identifiers: Vec<String>) -> Self {
        let known = identifiers
            .into_iter()
            .map(|identifier| {
                let url = comparable(&identifier);
                (identifier, url)
            })
            .collect();
        Self { known }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(|(identifier, _)| identifier.as_str())
    }

    /// The resource that `asked` means. Clients write it in many ways: scheme and host in capitals, with the default
    /// port, with a slash at the end; and where there is but one resource, its bare origin means it as well.
    #[must_use]
    pub fn find(&self, asked: &str) -> Option<&str> {
        if let Some((same, _)) = self.known.iter().find(|(known, _)| known == asked) {
            return Some(same);
        }
        let url = comparable(asked)?;
        let alike = self
            .known
            .iter()
            .find(|(_, known)| known.as_ref() == Some(&url));
        if let Some((identifier, _)) = alike {
            return Some(identifier);
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
    pub fn choose(&self, asked: impl Iterator<Item = impl AsRef<str>>) -> Result<&str, OAuthError> {
        let mut chosen: Option<&str> = None;
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
        if resources.find(asked.as_ref()) != Some(granted) {
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

    fn one() -> Resources {
        Resources::new(vec!["https://mcp.example.com/mcp".into()])
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
            assert_eq!(one().find(asked), expected, "{asked}");
        }
    }

    #[test]
    fn the_origin_of_several_resources_means_none_of_them() {
        let two = Resources::new(vec!["https://h/a".into(), "https://h/b".into()]);
        assert_eq!(two.find("https://h"), None);
        assert_eq!(two.find("https://h/b/"), Some("https://h/b"));
    }

    /// AUTHZ-10, AUTHZ-11
    #[test]
    fn a_request_is_for_one_resource() {
        let two = Resources::new(vec!["https://h/a".into(), "https://h/b".into()]);
        for (asked, chosen) in [
            (&[][..], Some("https://h/a")),
            (&["https://h/b"], Some("https://h/b")),
            (&["https://h/b", "https://h/b/"], Some("https://h/b")),
            (&["https://h/a", "https://h/b"], None),
            (&["https://h/c"], None),
        ] {
            let got = two.choose(asked.iter());
            assert_eq!(got.ok(), chosen, "{asked:?}");
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
        let two = Resources::new(vec!["https://h/a".into(), "https://h/b".into()]);
        assert!(within_grant(&two, "https://h/a", std::iter::empty::<&str>()).is_ok());
        assert!(within_grant(&two, "https://h/a", ["https://h/a/"].iter()).is_ok());
        let other = within_grant(&two, "https://h/a", ["https://h/b"].iter());
        assert_eq!(other.unwrap_err().code, ErrorCode::InvalidTarget);
    }
}

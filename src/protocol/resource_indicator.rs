//! The resource that a token is for (RFC 8707).

use super::error::{ErrorCode, OAuthError};

/// The resource identifiers of this deployment, as configured and advertised; the first is the default.
#[derive(Clone, Debug)]
pub struct Resources(Vec<String>);

impl Resources {
    /// The configured ones, in their order.
    #[must_use]
    pub fn new(resources: Vec<String>) -> Self {
        Self(resources)
    }

    /// The resource that a client means by `asked`, in the form that is advertised: tokens are minted for that form
    /// alone. Clients render URLs in their own ways, so the case of scheme and host, a default port and one slash at
    /// the end make no difference; where there is only one resource its bare origin means it, too.
    #[must_use]
    pub fn find(&self, asked: &str) -> Option<&str> {
        let asked = canonical(asked)?;
        let mut known = self.0.iter();
        if let Some(found) = known.find(|known| canonical(known).as_ref() == Some(&asked)) {
            return Some(found);
        }
        match self.0.as_slice() {
            [only] if canonical(only)?.origin == asked.whole() => Some(only),
            _ => None,
        }
    }

    /// The one resource that a request is for; the default where it names none, as clients of MCP 2025-03-26 do.
    ///
    /// # Errors
    /// `invalid_target` where it is unknown, or several are named (RFC 8707 §2): a token is for one resource.
    pub fn choose<'a, 's>(
        &'s self,
        asked: impl Iterator<Item = &'a str>,
    ) -> Result<&'s str, OAuthError> {
        let mut chosen: Option<&str> = None;
        for asked in asked {
            let found = self.find(asked).ok_or(UNKNOWN)?;
            if chosen.is_some_and(|earlier| earlier != found) {
                return Err(ErrorCode::InvalidTarget
                    .with("a token is for one resource: ask for each in a request of its own"));
            }
            chosen = Some(found);
        }
        chosen.or(self.0.first().map(String::as_str)).ok_or(UNKNOWN)
    }
}

/// Checks that a token request asks for no other resource than the one granted (RFC 8707 §2.2); none is asked for by
/// clients that leave it to us.
///
/// # Errors
/// `invalid_target`.
pub fn within_grant<'a>(
    resources: &Resources,
    granted: &str,
    mut asked: impl Iterator<Item = &'a str>,
) -> Result<(), OAuthError> {
    if asked.all(|asked| asked == granted || resources.find(asked) == Some(granted)) {
        return Ok(());
    }
    Err(ErrorCode::InvalidTarget.with("resource is another one than was granted"))
}

const UNKNOWN: OAuthError = OAuthError {
    code: ErrorCode::InvalidTarget,
    description: "resource must be the resource identifier of an MCP server here, as its metadata say",
};

/// A resource identifier as it is compared.
#[derive(PartialEq, Eq)]
struct Canonical {
    origin: String,
    path_and_query: String,
}

impl Canonical {
    fn whole(&self) -> String {
        format!("{}{}", self.origin, self.path_and_query)
    }
}

/// By hand rather than through `Url`, which would resolve dot segments, drop tabs and read `127.1` as an address.
fn canonical(text: &str) -> Option<Canonical> {
    // RFC 8707 §2: absolute, without a fragment.
    if text.contains('#') {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.strip_suffix(default_port).unwrap_or(authority);
    if host.is_empty() || host.contains('@') {
        return None;
    }
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let path = path.strip_suffix('/').unwrap_or(path);
    Some(Canonical {
        origin: format!("{scheme}://{}", host.to_ascii_lowercase()),
        path_and_query: format!("{path}{query}"),
    })
}

//! Where a server sends a request on to: followed inside on the server's own origin, and nowhere else.

use std::sync::{PoisonError, RwLock};

use http::header::LOCATION;
use http::uri::PathAndQuery;
use http::{Response, StatusCode, Uri};
use url::Url;

/// What an answer says of another place.
#[derive(Debug, PartialEq)]
pub(super) enum Redirect {
    /// Nothing: it is an answer.
    No,
    /// The same request is to go there, on the same origin.
    Within(Uri),
    /// It is not followed. The place, where it can be read: for the operator, without a query.
    Refused(Option<Url>),
}

/// How often a request is sent on.
pub(super) const HOPS: usize = 3;

/// Where a server has moved for good (RFC 9110 §15.4.9), until it is not there any more.
#[derive(Debug, Default)]
pub(super) struct Moved(RwLock<Option<Uri>>);

impl Moved {
    /// Where to begin, if not at what was configured.
    pub(super) fn place(&self) -> Option<Uri> {
        let place = self.0.read().unwrap_or_else(PoisonError::into_inner);
        place.clone()
    }

    pub(super) fn learn(&self, place: &Uri) {
        self.set(Some(place.clone()));
    }

    pub(super) fn forget(&self) {
        self.set(None);
    }

    fn set(&self, place: Option<Uri>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = place;
    }
}

/// Reads the answer to what was asked at `asked`, a URL on the origin of `backend`.
///
/// RFC 9110 §15.4: only 307 and 308 keep method and body; after the others a POST would become a GET.
pub(super) fn read<B>(backend: &Url, asked: &Uri, answer: &Response<B>) -> Redirect {
    let status = answer.status();
    if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
        return Redirect::No;
    }
    let Some(place) = place(asked, answer) else {
        return Redirect::Refused(None);
    };
    let keeps_all = matches!(
        status,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    if keeps_all
        && is_within(backend, &place)
        && let Some(there) = moved(asked, &place)
    {
        return Redirect::Within(there);
    }
    Redirect::Refused(Some(without_secrets(place)))
}

/// The one place that is named.
fn place<B>(asked: &Uri, answer: &Response<B>) -> Option<Url> {
    let mut named = answer.headers().get_all(LOCATION).iter();
    let (Some(place), None) = (named.next(), named.next()) else {
        return None;
    };
    let asked = Url::parse(&asked.to_string()).ok()?;
    asked.join(place.to_str().ok()?).ok()
}

/// Scheme, host and port the same, and nobody's name in it.
fn is_within(backend: &Url, place: &Url) -> bool {
    place.scheme() == backend.scheme()
        && place.host() == backend.host()
        && place.port_or_known_default() == backend.port_or_known_default()
        && place.username().is_empty()
        && place.password().is_none()
}

/// Path and query are the server's; scheme and authority stay those that were configured.
fn moved(asked: &Uri, place: &Url) -> Option<Uri> {
    let target = match place.query() {
        Some(query) => format!("{}?{query}", place.path()),
        None => place.path().to_owned(),
    };
    let mut parts = asked.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

fn without_secrets(mut place: Url) -> Url {
    place.set_query(None);
    place.set_fragment(None);
    // a URL that can have neither has neither
    let _ = place.set_username("");
    let _ = place.set_password(None);
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, places: &[&str]) -> Response<()> {
        let mut answer = Response::new(());
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        for place in places {
            answer
                .headers_mut()
                .append(LOCATION, place.parse().unwrap());
        }
        answer
    }

    fn read_one(status: u16, places: &[&str]) -> Redirect {
        let backend = Url::parse("http://inner:9000/mcp").unwrap();
        let asked = Uri::from_static("http://inner:9000/mcp?a=b");
        read(&backend, &asked, &answer(status, places))
    }

    #[test]
    fn a_redirect_on_the_own_origin_is_followed() {
        for (place, expected) in [
            ("/mcp/", "/mcp/"),
            ("/mcp/?a=b", "/mcp/?a=b"),
            ("mcp/", "/mcp/"),
            ("http://inner:9000/mcp/?c", "/mcp/?c"),
            ("//inner:9000/x", "/x"),
            ("HTTP://INNER:9000/x#fragment", "/x"),
            ("/x/../y", "/y"),
            ("", "/mcp?a=b"),
        ] {
            for status in [307, 308] {
                let Redirect::Within(there) = read_one(status, &[place]) else {
                    panic!("{status} {place}")
                };
                assert_eq!(there.to_string(), format!("http://inner:9000{expected}"));
            }
        }
    }

    /// P10
    #[test]
    fn a_redirect_elsewhere_is_not() {
        for place in [
            "http://evil.example/",
            "http://evil.example:9000/mcp",
            "//evil.example/mcp",
            "/\\evil.example/",
            "\\\\evil.example/",
            "/\t/evil.example/",
            "https://inner:9000/mcp",
            "http://inner/mcp",
            "http://inner:9001/mcp",
            "http://inner.evil.example:9000/mcp",
            "http://inner:9000@evil.example/",
            "http://user@inner:9000/mcp",
            "http://:word@inner:9000/mcp",
            "http://inner:9000.evil.example/",
            "http://inner.:9000/mcp",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://",
            "http://inner:99999/",
        ] {
            for status in [307, 308] {
                let read = read_one(status, &[place]);
                assert!(matches!(read, Redirect::Refused(_)), "{place}: {read:?}");
            }
        }
        for status in [300, 301, 302, 303, 305, 306] {
            let read = read_one(status, &["/mcp/"]);
            assert!(matches!(read, Redirect::Refused(_)), "{status}");
        }
        assert_eq!(read_one(307, &[]), Redirect::Refused(None));
        assert_eq!(read_one(307, &["/a", "/b"]), Redirect::Refused(None));
    }

    #[test]
    fn what_is_told_of_the_place_holds_no_secret() {
        let Redirect::Refused(Some(place)) = read_one(302, &["http://me:word@far/x?token=y#z"])
        else {
            panic!("it was not refused")
        };
        assert_eq!(place.as_str(), "http://far/x");
    }

    #[test]
    fn an_answer_is_no_redirect() {
        for status in [200, 202, 204, 304, 400, 404, 500] {
            assert_eq!(read_one(status, &["/x"]), Redirect::No, "{status}");
        }
    }
}

//! The logos of clients: fetched by us and served from our origin, or not shown at all (CLI-22).

use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::DocumentError;
use super::page::{Lifetimes, Page, Stamp};
use super::picture;
use super::published::Published;
use crate::clock::UnixTime;
use crate::protocol::error::OAuthError;

/// A picture that is one: its kind was read from its first bytes.
#[derive(Clone, Debug)]
pub struct Logo {
    /// `image/png` and the like; never a kind that runs scripts.
    pub content_type: &'static str,
    /// The picture.
    pub bytes: Bytes,
}

/// A logo, as it is kept; or why there is none, so that not every page that would show it has it fetched again. That
/// documents are not kept when they are wrong (CLI-17) does not bear on this: nobody is turned away for their logo.
#[derive(Clone, Debug)]
pub(super) struct KeptLogo {
    logo: Result<Logo, DocumentError>,
    stamp: Stamp,
}

/// How long it is remembered that there is no logo.
const REFUSED: Duration = Duration::from_secs(10 * 60);

impl KeptLogo {
    /// The logo, or why there is none.
    pub(super) fn logo(&self) -> Result<Logo, DocumentError> {
        self.logo.clone()
    }

    fn refused(error: DocumentError, now: UnixTime) -> Self {
        Self {
            logo: Err(error),
            stamp: Stamp {
                fetched_at: now,
                fresh_until: now + REFUSED,
                etag: None,
            },
        }
    }
}

impl Published for KeptLogo {
    type Place = Url;
    const ACCEPT: &'static str = "image/png, image/webp, image/jpeg, image/gif";
    const LIMIT: usize = 100 << 10;
    /// The least is what a refusal is remembered for: a logo is looked at for every page that shows it.
    const LIFETIMES: Lifetimes = Lifetimes {
        least: REFUSED,
        most: Duration::from_secs(24 * 3600),
        silent: Duration::from_secs(3600),
    };

    fn read(_: &Url, page: Page, stamp: Stamp) -> Result<Self, OAuthError> {
        Ok(match picture::check(&page.body) {
            Ok(content_type) => Self {
                logo: Ok(Logo {
                    content_type,
                    bytes: page.body,
                }),
                stamp,
            },
            Err(error) => Self::refused(error.into(), stamp.fetched_at),
        })
    }

    fn renewed(&self, stamp: Stamp) -> Self {
        Self {
            logo: self.logo.clone(),
            stamp,
        }
    }

    fn fresh_until(&self) -> UnixTime {
        self.stamp.fresh_until
    }

    fn etag(&self) -> Option<&str> {
        self.stamp.etag.as_deref()
    }

    fn weight(&self) -> usize {
        self.logo.as_ref().map_or(0, |logo| logo.bytes.len())
    }

    fn failed(error: &DocumentError, now: UnixTime) -> Option<Self> {
        Some(Self::refused(error.clone(), now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::document::Documents;
    use crate::document::fake::{ASKER, Web, documents, freshness, typed};
    use crate::document::picture::tests::a_png;
    use crate::outbound::stranger::{FetchFault, Fetched};

    const URL: &str = "https://app.example/logo";
    const SVG: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    const SECOND: Duration = Duration::from_secs(1);

    fn publish(web: &Web, content_type: &str, body: &[u8], lifetime: Option<u64>) {
        let page = typed(
            content_type,
            body.to_vec(),
            freshness(lifetime, Some("\"v1\"")),
        );
        web.put(URL, move |_| Ok(page.clone()));
    }

    async fn ask(documents: &Documents) -> Result<Logo, DocumentError> {
        let url = Url::parse(URL).unwrap();
        documents.logo(&url, ASKER.address).await
    }

    /// CLI-22, C2
    #[tokio::test]
    async fn a_logo_is_what_its_bytes_say_whatever_its_server_says() {
        let png = a_png(64, 64);
        for (content_type, body, kind) in [
            ("image/png", &png[..], Some("image/png")),
            ("image/svg+xml", &png, Some("image/png")),
            ("text/html", &png, Some("image/png")),
            ("", &png, Some("image/png")),
            ("image/png", SVG, None),
            ("image/svg+xml", SVG, None),
            ("image/png", b"<script>alert(1)</script>", None),
            ("image/png", &a_png(5000, 5000), None),
        ] {
            let (web, _clock, documents) = documents();
            publish(&web, content_type, body, None);
            let found = ask(&documents).await;
            assert_eq!(
                found.ok().map(|logo| logo.content_type),
                kind,
                "{content_type}"
            );
            assert_eq!(web.asked()[0].limit, 100 << 10);
        }
    }

    /// CLI-22
    #[tokio::test]
    async fn a_logo_is_fetched_once_for_many_pages() {
        for (said, kept) in [(None, 3600), (Some(0), 600), (Some(31_536_000), 86_400)] {
            let (web, clock, documents) = documents();
            publish(&web, "image/png", &a_png(1, 1), said);
            for _ in 0..100 {
                ask(&documents).await.unwrap();
            }
            clock.advance(Duration::from_secs(kept - 1));
            ask(&documents).await.unwrap();
            assert_eq!(web.asked().len(), 1, "{said:?}");
            clock.advance(SECOND);
            web.put(URL, |_| Ok(Fetched::Unchanged(freshness(None, None))));
            assert_eq!(ask(&documents).await.unwrap().bytes, a_png(1, 1));
            let etag = web.asked().pop().unwrap().etag;
            assert_eq!(etag.as_deref(), Some("\"v1\""), "{said:?}");
        }
    }

    /// CLI-22
    #[tokio::test]
    async fn that_there_is_no_logo_is_remembered_for_a_while() {
        let unfetched: fn(&Web) = |web| web.fail(URL, FetchFault::TooSlow);
        let refused: fn(&Web) = |web| publish(web, "image/png", SVG, Some(86_400));
        for (spoil, cause) in [(unfetched, "too long"), (refused, "not a picture")] {
            let (web, clock, documents) = documents();
            spoil(&web);
            for _ in 0..100 {
                let error = ask(&documents).await.unwrap_err().to_string();
                assert!(error.contains(cause), "{error}");
            }
            publish(&web, "image/png", &a_png(1, 1), None);
            clock.advance(Duration::from_secs(599));
            ask(&documents).await.unwrap_err();
            assert_eq!(web.asked().len(), 1, "{cause}");
            clock.advance(SECOND);
            ask(&documents).await.unwrap();
            let again = web.asked();
            assert_eq!((again.len(), &again[0].etag), (1, &None), "{cause}");
        }
    }

    /// CLI-22
    #[tokio::test]
    async fn a_logo_that_has_expired_is_not_shown_when_it_is_gone() {
        let (web, clock, documents) = documents();
        publish(&web, "image/png", &a_png(1, 1), None);
        ask(&documents).await.unwrap();
        clock.advance(Duration::from_secs(3600));
        web.fail(URL, FetchFault::Connect);
        ask(&documents).await.unwrap_err();
        ask(&documents).await.unwrap_err();
        assert_eq!(web.asked().len(), 2);
    }

    #[tokio::test]
    async fn a_thousand_pages_at_a_time_make_one_fetch() {
        let (web, _clock, documents) = documents();
        publish(&web, "image/png", &a_png(1, 1), None);
        let mut pages = tokio::task::JoinSet::new();
        for _ in 0..1000 {
            let documents = Arc::clone(&documents);
            pages.spawn(async move { ask(&documents).await.is_ok() });
        }
        assert!(pages.join_all().await.into_iter().all(|ok| ok));
        assert_eq!(web.asked().len(), 1);
    }
}

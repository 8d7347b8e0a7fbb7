//! The documents in which clients describe themselves (draft-ietf-oauth-client-id-metadata-document), as they are kept.

use std::time::Duration;

use super::page::{Lifetimes, Page, Stamp, is_json};
use super::published::Published;
use crate::clock::UnixTime;
use crate::protocol::client::{Client, ClientAuthentication};
use crate::protocol::client_metadata::{self, ClientDocument, DocumentUrl, RULES};
use crate::protocol::error::{ErrorCode, OAuthError};

/// A key that was withdrawn is believed for an hour at most, wherever it is published.
const MOST_WITH_KEYS: Duration = Duration::from_secs(3600);

/// How long keys are believed while what they are published in cannot be had.
pub(super) const KEYS_WITHOUT_HOST: Duration = Duration::from_secs(24 * 3600);

/// For how long a document of this client is fresh at most.
pub(super) fn most(client: &Client) -> Duration {
    match client.authentication {
        ClientAuthentication::Keys { .. } => MOST_WITH_KEYS,
        _ => ClientDocument::LIFETIMES.most,
    }
}

/// Whether this copy will do where no newer one can be had (CLI-18): for a client with keys so long only, since its owner may
/// have taken one out.
pub(super) fn bears(document: &ClientDocument, now: UnixTime) -> bool {
    match document.client.authentication {
        ClientAuthentication::Keys { .. } => now < document.fresh_until + KEYS_WITHOUT_HOST,
        _ => true,
    }
}

fn kept(client: Client, stamp: Stamp) -> ClientDocument {
    ClientDocument {
        fresh_until: stamp.fresh_until.min(stamp.fetched_at + most(&client)),
        client,
        fetched_at: stamp.fetched_at,
        etag: stamp.etag,
        rules: RULES,
    }
}

impl Published for ClientDocument {
    type Place = DocumentUrl;
    const ACCEPT: &'static str = "application/json";
    /// §6 recommends 5 KB; with keys, and names in many languages, it may be more (CLI-07).
    const LIMIT: usize = 64 << 10;
    const LIFETIMES: Lifetimes = Lifetimes {
        least: Duration::from_secs(60),
        most: Duration::from_secs(24 * 3600),
        silent: Duration::from_secs(5 * 60),
    };

    fn read(url: &DocumentUrl, page: Page, stamp: Stamp) -> Result<Self, OAuthError> {
        let refuse = |why| ErrorCode::InvalidClientMetadata.with(why);
        if !page.media_type().is_some_and(|found| is_json(&found)) {
            return Err(refuse(
                "the Content-Type of the document is not application/json",
            ));
        }
        if std::str::from_utf8(&page.body).is_err() {
            return Err(refuse("the document is not UTF-8"));
        }
        Ok(kept(client_metadata::read(url, &page.body)?, stamp))
    }

    fn renewed(&self, stamp: Stamp) -> Self {
        kept(self.client.clone(), stamp)
    }

    fn fresh_until(&self) -> UnixTime {
        self.fresh_until
    }

    fn etag(&self) -> Option<&str> {
        // that it is unchanged says nothing where it is read otherwise now
        self.etag.as_deref().filter(|_| self.rules == RULES)
    }

    fn weight(&self) -> usize {
        serde_json::to_vec(self).map_or(Self::LIMIT, |text| text.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;

    use super::*;
    use crate::clock::{Clock as _, ManualClock};
    use crate::document::fake::{ASKER, Web, document, documents, freshness, json, typed};
    use crate::document::{DocumentError, Documents};
    use crate::outbound::stranger::{FetchFault, Fetched};
    use crate::protocol::ids::ClientId;

    const URL: &str = "https://app.example/client";
    const SECOND: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    type Spoil<'a> = &'a dyn Fn(&Web);

    fn url(text: &str) -> DocumentUrl {
        DocumentUrl::parse(&ClientId::new(text)).unwrap().unwrap()
    }

    fn publish(web: &Web, name: &'static str, lifetime: Option<u64>, etag: Option<&'static str>) {
        web.put(URL, move |_| Ok(json(document(URL, name), lifetime, etag)));
    }

    async fn name(documents: &Documents) -> Result<String, DocumentError> {
        let found = documents.client(&url(URL), ASKER, None).await?;
        Ok(found.client.name.clone().unwrap())
    }

    fn last_name(documents: &Documents) -> Option<String> {
        documents.last_good(&url(URL))?.client.name.clone()
    }

    /// CLI-16
    #[tokio::test]
    async fn a_document_is_fetched_again_when_it_is_no_longer_fresh() {
        for (said, kept) in [
            (None, 300),
            (Some(0), 60),
            (Some(600), 600),
            (Some(86_400), 86_400),
            (Some(31_536_000), 86_400),
        ] {
            let (web, clock, documents) = documents();
            publish(&web, "One", said, None);
            name(&documents).await.unwrap();
            publish(&web, "Two", said, None);
            clock.advance(Duration::from_secs(kept - 1));
            assert_eq!(name(&documents).await.unwrap(), "One", "{said:?}");
            assert_eq!(web.asked().len(), 1, "{said:?}");
            clock.advance(SECOND);
            assert_eq!(name(&documents).await.unwrap(), "Two", "{said:?}");
            assert_eq!(web.asked().len(), 1, "{said:?}");
        }
    }

    /// CLI-16
    #[tokio::test]
    async fn documents_are_kept_by_the_text_of_their_urls() {
        let (web, _clock, documents) = documents();
        for text in [
            URL,
            "https://app.example/client.json",
            "https://app.example/Client",
        ] {
            web.put(text, move |_| {
                Ok(json(document(text, "One"), Some(600), None))
            });
            for _ in 0..2 {
                let found = documents.client(&url(text), ASKER, None).await.unwrap();
                assert_eq!(found.client.id.as_str(), text);
            }
        }
        let asked = web.asked();
        assert_eq!(asked.len(), 3);
        assert_eq!(asked[0].accept, "application/json");
        assert_eq!((asked[0].limit, &asked[0].etag), (64 << 10, &None));
    }

    /// CLI-08, CLI-17
    #[tokio::test]
    async fn failures_and_invalid_documents_are_named_and_never_kept() {
        let whole = document(URL, "One");
        let page = |content_type, body: &[u8]| {
            let page = typed(
                content_type,
                body.to_vec(),
                freshness(Some(86_400), Some("e")),
            );
            move |_: &_| Ok(page.clone())
        };
        let (web, _clock, documents) = documents();
        let faulty: [(Spoil<'_>, &str); 9] = [
            (
                &|web| web.fail(URL, FetchFault::Status(StatusCode::NOT_FOUND)),
                "404",
            ),
            (
                &|web| web.fail(URL, FetchFault::Status(StatusCode::FORBIDDEN)),
                "403",
            ),
            (&|web| web.fail(URL, FetchFault::TooSlow), "too long"),
            (&|web| web.fail(URL, FetchFault::NotPublic), "not public"),
            (
                &|web| web.put(URL, page("text/html", whole.as_bytes())),
                "Content-Type",
            ),
            (
                &|web| web.put(URL, page("", whole.as_bytes())),
                "Content-Type",
            ),
            (
                &|web| web.put(URL, page("application/json", b"{\"\xff\":1}")),
                "UTF-8",
            ),
            (
                &|web| web.put(URL, page("application/json", b"[]")),
                "refused",
            ),
            (
                &|web| web.put(URL, page("application/json", b"{}")),
                "refused",
            ),
        ];
        for (spoil, cause) in faulty {
            spoil(&web);
            for _ in 0..2 {
                let error = name(&documents).await.unwrap_err().to_string();
                assert!(error.contains(cause), "{error}");
                assert_eq!(web.asked().len(), 1, "{cause}");
            }
            assert_eq!(last_name(&documents), None, "{cause}");
        }
        publish(&web, "One", None, None);
        assert_eq!(name(&documents).await.unwrap(), "One");
    }

    /// CLI-18
    #[tokio::test]
    async fn what_has_expired_is_not_returned_but_the_last_good_copy_can_be_found() {
        let (web, clock, documents) = documents();
        publish(&web, "One", Some(60), None);
        name(&documents).await.unwrap();
        clock.advance(7 * DAY);
        web.fail(URL, FetchFault::Status(StatusCode::SERVICE_UNAVAILABLE));
        assert!(matches!(
            name(&documents).await,
            Err(DocumentError::Fetch(_))
        ));
        assert_eq!(last_name(&documents).unwrap(), "One");
        web.put(URL, |_| Ok(json("{}", Some(86_400), None)));
        assert!(matches!(
            name(&documents).await,
            Err(DocumentError::Refused(_))
        ));
        assert_eq!(last_name(&documents).unwrap(), "One");
        publish(&web, "Two", Some(60), None);
        assert_eq!(name(&documents).await.unwrap(), "Two");
        assert_eq!(last_name(&documents).unwrap(), "Two");
    }

    /// CLI-16
    #[tokio::test]
    async fn what_is_unchanged_is_good_for_another_lifetime() {
        let (web, clock, documents) = documents();
        publish(&web, "One", Some(60), Some("\"v1\""));
        name(&documents).await.unwrap();
        web.put(URL, |_| Ok(Fetched::Unchanged(freshness(Some(600), None))));
        for _ in 0..3 {
            clock.advance(Duration::from_secs(600));
            assert_eq!(name(&documents).await.unwrap(), "One");
            clock.advance(Duration::from_secs(599));
            assert_eq!(name(&documents).await.unwrap(), "One");
            clock.advance(SECOND);
        }
        let etags = web.asked().into_iter().map(|wanted| wanted.etag);
        let sent = Some("\"v1\"".to_owned());
        assert_eq!(
            etags.collect::<Vec<_>>(),
            [None, sent.clone(), sent.clone(), sent]
        );
    }

    /// C7
    #[tokio::test]
    async fn an_unchanged_that_is_not_about_our_copy_is_not_believed() {
        for (named, ours, fetches) in [
            (None, Some("\"v1\""), 1),
            (Some("\"v1\""), Some("\"v1\""), 1),
            (Some("W/\"v1\""), Some("\"v1\""), 1),
            (Some("\"v2\""), Some("\"v1\""), 2),
        ] {
            let (web, clock, documents) = documents();
            publish(&web, "One", Some(60), ours);
            name(&documents).await.unwrap();
            clock.advance(DAY);
            web.asked();
            web.put(URL, move |wanted| {
                Ok(match wanted.etag {
                    Some(_) => Fetched::Unchanged(freshness(None, named)),
                    None => json(document(URL, "Two"), None, Some("\"v2\"")),
                })
            });
            let expected = if fetches == 1 { "One" } else { "Two" };
            assert_eq!(name(&documents).await.unwrap(), expected, "{named:?}");
            assert_eq!(web.asked().len(), fetches, "{named:?}");
        }
    }

    /// C7
    #[tokio::test]
    async fn an_unchanged_that_nobody_asked_for_is_an_error() {
        let (web, clock, documents) = documents();
        let unchanged = |_: &_| Ok(Fetched::Unchanged(freshness(None, Some("\"v2\""))));
        web.put(URL, unchanged);
        let error = name(&documents).await.unwrap_err().to_string();
        assert!(error.contains("304"), "{error}");
        assert_eq!(web.asked().len(), 1);
        for (etag, fetches) in [(None, 1), (Some("\"v1\""), 2)] {
            publish(&web, "One", Some(60), etag);
            name(&documents).await.unwrap();
            web.asked();
            clock.advance(DAY);
            web.put(URL, unchanged);
            let error = name(&documents).await.unwrap_err().to_string();
            assert!(error.contains("304"), "{error}");
            assert_eq!(web.asked().len(), fetches);
            assert_eq!(last_name(&documents).unwrap(), "One");
        }
    }

    /// A copy of "Kept" that is good for so many seconds more.
    fn kept(id: &str, clock: &ManualClock, seconds: i64) -> ClientDocument {
        let page = document(id, "Kept");
        ClientDocument {
            client: client_metadata::read(&url(id), page.as_bytes()).unwrap(),
            fetched_at: clock.now(),
            fresh_until: UnixTime(clock.now().0 + seconds),
            etag: Some("\"kept\"".to_owned()),
            rules: RULES,
        }
    }

    /// CLI-25
    #[tokio::test]
    async fn a_copy_of_before_a_restart_is_as_good_as_it_was() {
        let sent = Some("\"kept\"");
        let url = url(URL);
        for (id, seconds, fetched) in [
            (URL, 1, None),
            (URL, 86_400, None),
            // expired: is it still the same?
            (URL, 0, Some(sent)),
            (URL, -1_000_000, Some(sent)),
            // good for longer than any copy is: the clock was wrong then, or is now
            (URL, 86_401, Some(sent)),
            // not a copy of this
            ("https://app.example/other", 600, Some(None)),
        ] {
            let (web, clock, documents) = documents();
            publish(&web, "New", Some(600), None);
            let kept = kept(id, &clock, seconds);
            let ask = || documents.client(&url, ASKER, Some(kept.clone()));
            let found = ask().await.unwrap();
            let asked = web.asked().pop();
            let asked = asked.as_ref().map(|wanted| wanted.etag.as_deref());
            assert_eq!(asked, fetched, "{id} {seconds}");
            let expected = if fetched.is_none() { "Kept" } else { "New" };
            assert_eq!(
                found.client.name.as_deref(),
                Some(expected),
                "{id} {seconds}"
            );
            let again = ask().await.unwrap();
            assert!(Arc::ptr_eq(&found, &again), "{id} {seconds}: from memory");
            assert_eq!(name(&documents).await.unwrap(), expected, "taken in");
            assert_eq!(web.asked().len(), 0, "{id} {seconds}");
        }
    }

    #[tokio::test]
    async fn a_kept_copy_does_not_replace_a_newer_one_and_is_found_when_it_is_all_there_is() {
        let (web, clock, documents) = documents();
        web.fail(URL, FetchFault::Connect);
        let old = kept(URL, &clock, -5);
        let again = documents.client(&url(URL), ASKER, Some(old.clone())).await;
        assert!(again.is_err());
        assert_eq!(last_name(&documents).unwrap(), "Kept");
        publish(&web, "New", Some(600), None);
        let new = documents.client(&url(URL), ASKER, Some(old.clone())).await;
        let again = documents.client(&url(URL), ASKER, Some(old)).await.unwrap();
        assert_eq!(again.client.name.as_deref(), Some("New"));
        assert!(Arc::ptr_eq(&new.unwrap(), &again));
        assert_eq!(web.asked().len(), 2);
    }
}

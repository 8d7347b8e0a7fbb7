//! The key sets that clients publish (RFC 7517 §5), as they are kept.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::DocumentError;
use super::client::KEYS_WITHOUT_HOST;
use super::held::{Held, rest_since};
use super::page::{Lifetimes, Page, Stamp};
use super::published::Published;
use crate::clock::UnixTime;
use crate::outbound::stranger::Standing;
use crate::protocol::error::{ErrorCode, OAuthError};

/// A key set of a client (RFC 7517 §5), as JSON.
#[derive(Clone, Debug)]
pub struct KeySet(pub Bytes);

/// A key set, as it is kept.
#[derive(Clone, Debug)]
pub(super) struct KeptKeys {
    set: KeySet,
    ids: Vec<String>,
    stamp: Stamp,
}

impl KeptKeys {
    /// The key set.
    pub(super) fn set(&self) -> KeySet {
        self.set.clone()
    }

    /// Whether it has the key called `id`, if there is need of one.
    fn has(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.ids.iter().any(|known| known == id))
    }

    /// Whether this copy will do where no newer one can be had.
    pub(super) fn bears(&self, id: Option<&str>, now: UnixTime) -> bool {
        self.has(id) && now - self.stamp.fetched_at < KEYS_WITHOUT_HOST
    }

    /// Whether `held` will do for a caller that needs the key called `id`.
    ///
    /// # Errors
    /// [`DocumentError::TooMany`] where the key is not there, and we have asked, or tried to ask, less than a minute ago: that
    /// it does not exist by now was never heard, and must not be said.
    pub(super) fn will_do(
        held: &Held<Self>,
        id: Option<&str>,
        standing: Standing,
        now: UnixTime,
    ) -> Result<bool, DocumentError> {
        let (keys, rest) = (&held.copy, held.rest(standing, now));
        if keys.has(id) {
            return Ok(keys.is_fresh(now) || rest.is_some() && keys.bears(id, now));
        }
        match rest_since(keys.stamp.fetched_at, now).max(rest) {
            Some(retry_after) => Err(DocumentError::TooMany { retry_after }),
            None => Ok(false),
        }
    }
}

impl Published for KeptKeys {
    type Place = Url;
    const ACCEPT: &'static str = "application/jwk-set+json, application/json";
    /// Some twenty keys of the largest kind, with their certificates.
    const LIMIT: usize = 64 << 10;
    /// A key that was withdrawn is believed for an hour at most.
    const LIFETIMES: Lifetimes = Lifetimes {
        least: Duration::from_secs(60),
        most: Duration::from_secs(3600),
        silent: Duration::from_secs(5 * 60),
    };

    fn read(_: &Url, page: Page, stamp: Stamp) -> Result<Self, OAuthError> {
        let refuse = |why| ErrorCode::InvalidClientMetadata.with(why);
        let media_type = page.media_type().unwrap_or_default();
        if !MEDIA_TYPES.contains(&&*media_type) {
            return Err(refuse(
                "the Content-Type of the key set is neither application/jwk-set+json nor application/json",
            ));
        }
        let ids = ids(&page.body).ok_or(refuse(
            "the key set is not a JSON object with an array of objects called keys",
        ))?;
        Ok(Self {
            set: KeySet(page.body),
            ids,
            stamp,
        })
    }

    fn renewed(&self, stamp: Stamp) -> Self {
        Self {
            stamp,
            ..self.clone()
        }
    }

    fn fresh_until(&self) -> UnixTime {
        self.stamp.fresh_until
    }

    fn etag(&self) -> Option<&str> {
        self.stamp.etag.as_deref()
    }

    fn weight(&self) -> usize {
        let ids = self.ids.iter();
        self.set.0.len() + ids.map(|id| id.len() + size_of::<String>()).sum::<usize>()
    }
}

const MEDIA_TYPES: [&str; 2] = ["application/jwk-set+json", "application/json"];

/// What the keys of a set are called.
fn ids(set: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Map<String, Value>>,
    }
    // an array would be read as the members in their order
    if !set.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let set: Set = serde_json::from_slice(set).ok()?;
    let ids = set.keys.into_iter().filter_map(|mut key| {
        let Some(Value::String(id)) = key.remove("kid") else {
            return None;
        };
        Some(id)
    });
    Some(ids.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::document::Documents;
    use crate::document::fake::{ASKER, Web, documents, freshness, json, typed};
    use crate::outbound::stranger::{FetchFault, Fetched};

    const URL: &str = "https://app.example/keys";
    const SECOND: Duration = Duration::from_secs(1);

    fn publish(web: &Web, ids: &[&str], lifetime: Option<u64>) {
        let keys: Vec<_> = ids
            .iter()
            .map(|id| serde_json::json!({"kid": id}))
            .collect();
        let body = serde_json::json!({ "keys": keys }).to_string();
        web.put(URL, move |_| {
            Ok(json(body.clone(), lifetime, Some("\"v1\"")))
        });
    }

    /// The names of the keys, joined.
    async fn ask(documents: &Documents, missing: Option<&str>) -> Result<String, DocumentError> {
        let url = Url::parse(URL).unwrap();
        let KeySet(set) = documents.keys(&url, ASKER, missing).await?;
        Ok(ids(&set).unwrap().join(","))
    }

    /// A set with the key "old" was fetched so many seconds ago; now there is "new".
    async fn rotated(seconds: u64) -> (Arc<Web>, Arc<ManualClock>, Arc<Documents>) {
        let (web, clock, documents) = documents();
        publish(&web, &["old"], Some(3600));
        assert_eq!(ask(&documents, None).await.unwrap(), "old");
        clock.advance(Duration::from_secs(seconds));
        publish(&web, &["new"], Some(3600));
        web.asked();
        (web, clock, documents)
    }

    /// CLI-14, CLI-16
    #[tokio::test]
    async fn a_key_set_is_kept_for_an_hour_at_most() {
        for (said, kept) in [(None, 300), (Some(0), 60), (Some(86_400), 3600)] {
            let (web, clock, documents) = documents();
            publish(&web, &["a", "b"], said);
            assert_eq!(ask(&documents, None).await.unwrap(), "a,b");
            let asked = web.asked();
            assert_eq!((asked.len(), asked[0].limit), (1, 64 << 10));
            clock.advance(Duration::from_secs(kept - 1));
            ask(&documents, None).await.unwrap();
            assert_eq!(web.asked().len(), 0, "{said:?}");
            clock.advance(SECOND);
            web.put(URL, |_| Ok(Fetched::Unchanged(freshness(None, None))));
            assert_eq!(ask(&documents, None).await.unwrap(), "a,b");
            let etag = web.asked().pop().unwrap().etag;
            assert_eq!(etag.as_deref(), Some("\"v1\""), "{said:?}");
        }
    }

    /// CLI-14
    #[tokio::test]
    async fn a_new_key_is_found_within_a_minute() {
        let (web, _clock, documents) = rotated(59).await;
        let error = ask(&documents, Some("new")).await.unwrap_err();
        assert!(error.to_string().ends_with("again in 1 s"), "{error}");
        assert_eq!(web.asked().len(), 0, "asked for a moment ago");
        let (web, _clock, documents) = rotated(60).await;
        assert_eq!(ask(&documents, Some("old")).await.unwrap(), "old");
        assert_eq!(web.asked().len(), 0, "it is there");
        assert_eq!(ask(&documents, Some("new")).await.unwrap(), "new");
        assert_eq!(web.asked().len(), 1);
    }

    /// CLI-14, CLI-17
    #[tokio::test]
    async fn made_up_keys_make_us_fetch_once_a_minute() {
        let (web, clock, documents) = rotated(0).await;
        for second in 0..600 {
            let made_up = format!("made up {second}");
            let answer = ask(&documents, Some(&made_up)).await;
            assert_eq!(answer.is_ok(), second > 0 && second % 60 == 0, "{second}");
            clock.advance(SECOND);
        }
        assert_eq!(web.asked().len(), 9);
    }

    /// CLI-17
    #[tokio::test]
    async fn a_key_that_could_not_be_looked_for_is_never_said_to_be_missing() {
        let (web, clock, documents) = rotated(60).await;
        web.fail(URL, FetchFault::Connect);
        let error = ask(&documents, Some("new")).await.unwrap_err();
        assert!(matches!(error, DocumentError::Fetch(_)), "{error}");
        clock.advance(Duration::from_secs(20));
        let error = ask(&documents, Some("new")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "too many documents were asked for; try again in 40 s"
        );
        assert_eq!(ask(&documents, Some("old")).await.unwrap(), "old");
        assert_eq!(ask(&documents, None).await.unwrap(), "old");
        assert_eq!(web.asked().len(), 1);
        clock.advance(Duration::from_secs(40));
        publish(&web, &["new"], Some(3600));
        assert_eq!(ask(&documents, Some("new")).await.unwrap(), "new");
    }

    /// CLI-14, CLI-18
    #[tokio::test]
    async fn the_last_good_keys_do_for_a_day_while_no_newer_ones_can_be_had() {
        let html = typed("text/html", "<html>", freshness(None, None));
        let spoils: [&dyn Fn(&Web); 2] = [&|web| web.fail(URL, FetchFault::Connect), &|web| {
            let html = html.clone();
            web.put(URL, move |_| Ok(html.clone()));
        }];
        for spoil in spoils {
            let (web, clock, documents) = rotated(86_399).await;
            spoil(&web);
            let url = Url::parse(URL).unwrap();
            let last = |id| documents.last_keys(&url, id).is_some();
            let error = ask(&documents, Some("old")).await.unwrap_err();
            assert!(!matches!(error, DocumentError::Refused(_)), "{error}");
            assert!(last(Some("old")) && last(None) && !last(Some("new")));
            for _ in 0..10 {
                assert_eq!(ask(&documents, Some("old")).await.unwrap(), "old");
                assert_eq!(ask(&documents, None).await.unwrap(), "old");
                ask(&documents, Some("new")).await.unwrap_err();
            }
            assert_eq!(web.asked().len(), 1, "its host is left alone");
            clock.advance(SECOND);
            assert!(!last(Some("old")) && !last(None));
            ask(&documents, Some("old")).await.unwrap_err();
            assert_eq!(web.asked().len(), 1);
        }
    }

    /// CLI-14, CLI-17
    #[tokio::test]
    async fn what_is_no_key_set_is_refused_and_not_kept() {
        let (web, _clock, documents) = documents();
        let cases = [
            ("application/json", r#"{"keys":[]}"#, true),
            (
                "application/jwk-set+json; charset=utf-8",
                " {\"keys\":[{}]}",
                true,
            ),
            ("application/json", r#"{"keys":[{"kid":7}],"x":1}"#, true),
            ("application/jwk+json", r#"{"keys":[]}"#, false),
            ("text/plain", r#"{"keys":[]}"#, false),
            ("application/json", "", false),
            ("application/json", "null", false),
            ("application/json", "{}", false),
            ("application/json", "[[]]", false),
            ("application/json", r#"{"keys":{}}"#, false),
            ("application/json", r#"{"keys":null}"#, false),
            ("application/json", r#"{"keys":["a"]}"#, false),
            ("application/json", r#"{"keys":[[]]}"#, false),
            ("application/json", r#"{"keys":[],"keys":[]}"#, false),
            ("application/json", r#"{"keys":[]}{}"#, false),
        ];
        for (case, (content_type, body, accepted)) in cases.into_iter().enumerate() {
            let url = format!("https://app.example/{case}");
            let page = typed(content_type, body, freshness(Some(3600), None));
            web.put(&url, move |_| Ok(page.clone()));
            let url = Url::parse(&url).unwrap();
            for _ in 0..2 {
                let answer = documents.keys(&url, ASKER, None).await;
                assert_eq!(answer.is_ok(), accepted, "{content_type} {body}");
            }
            let fetches = if accepted { 1 } else { 2 };
            assert_eq!(web.asked().len(), fetches, "{content_type} {body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text in r#"\{"keys":\[.*\]\}"#) {
            let _ = ids(&bytes);
            let _ = ids(text.as_bytes());
        }
    }
}

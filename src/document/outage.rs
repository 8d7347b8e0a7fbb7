//! Hosts that hang, fail or change what they publish: what that may cost those whom it belongs to, and nobody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::fake::{ASKER, Web, document, freshness, json as page, unlimited, with_rates};
use super::{Asker, DocumentError, Documents, FetchRates};
use crate::clock::{Clock as _, ManualClock};
use crate::outbound::stranger::{FetchFault, Fetched, Standing};
use crate::protocol::client_metadata::{ClientDocument, DocumentUrl, RULES};
use crate::protocol::ids::ClientId;

const URL: &str = "https://app.example/client";
const SECOND: Duration = Duration::from_secs(1);
const KNOWN: Asker = Asker {
    standing: Standing::Known,
    ..ASKER
};

fn url(text: &str) -> DocumentUrl {
    DocumentUrl::parse(&ClientId::new(text)).unwrap().unwrap()
}

fn publish(web: &Web, name: &'static str) {
    web.put(URL, move |_| {
        Ok(page(document(URL, name), Some(60), Some("\"v1\"")))
    });
}

/// The document of a client with this key, good for as long as it may be.
fn publish_key(web: &Web, kid: &'static str) {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "A".repeat(43), "kid": kid});
    let mut document: serde_json::Value = serde_json::from_str(&document(URL, kid)).unwrap();
    document["token_endpoint_auth_method"] = json!("private_key_jwt");
    document["jwks"] = json!({ "keys": [key] });
    web.put(URL, move |_| {
        Ok(page(document.to_string(), Some(86_400), None))
    });
}

fn hurried() -> (Arc<Web>, Arc<ManualClock>, Arc<Documents>) {
    with_rates(FetchRates {
        flight: Duration::from_millis(200),
        patience: Duration::from_millis(20),
        ..unlimited()
    })
}

async fn agreed(documents: &Documents) -> Result<String, DocumentError> {
    let found = documents.client_as_agreed(&url(URL), KNOWN, None).await?;
    Ok(found.client.name.clone().unwrap())
}

async fn fresh(documents: &Documents) -> Result<String, DocumentError> {
    let found = documents.client(&url(URL), KNOWN, None).await?;
    Ok(found.client.name.clone().unwrap())
}

/// Lets every task run until it waits for something: there is one thread.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// CLI-07, CLI-17
#[tokio::test]
async fn a_fetch_has_one_time_for_all_that_it_takes() {
    let (web, clock, documents) = hurried();
    publish(&web, "One");
    fresh(&documents).await.unwrap();
    clock.advance(60 * SECOND);
    web.asked();
    let shut = Arc::clone(&web);
    // what makes us ask once more, and then never get an answer
    web.put(URL, move |_| {
        shut.close();
        Ok(Fetched::Unchanged(freshness(None, Some("\"v2\""))))
    });
    let began = Instant::now();
    let error = fresh(&documents).await.unwrap_err();
    assert!(error.to_string().contains("took too long"), "{error}");
    assert!(began.elapsed() < 2 * SECOND);
    assert_eq!(web.asked().len(), 2);
}

/// CLI-17
#[tokio::test]
async fn slow_hosts_that_strangers_name_hold_up_no_client_that_is_known() {
    let (web, _clock, documents) = with_rates(FetchRates::default());
    web.close();
    let mut fetches = 0;
    for number in 0..40_u8 {
        let documents = Arc::clone(&documents);
        let asker = Asker {
            address: [192, 0, 2, number].into(),
            ..ASKER
        };
        tokio::spawn(async move {
            let slow = url(&format!("https://{number}.example/client"));
            documents.client(&slow, asker, None).await
        });
        settle().await;
        fetches += web.asked().len();
    }
    assert_eq!(fetches, 24, "all that strangers may have");
    publish(&web, "One");
    let known = tokio::spawn({
        let documents = Arc::clone(&documents);
        async move { fresh(&documents).await }
    });
    settle().await;
    web.open();
    assert_eq!(known.await.unwrap().unwrap(), "One");
}

/// CLI-18
#[tokio::test]
async fn who_was_agreed_to_does_not_wait_for_a_host_that_hangs_and_the_fetch_goes_on() {
    let (web, clock, documents) = hurried();
    publish(&web, "One");
    assert_eq!(agreed(&documents).await.unwrap(), "One");
    clock.advance(60 * SECOND);
    publish(&web, "Two");
    web.close();
    assert_eq!(agreed(&documents).await.unwrap(), "One");
    web.open();
    while documents
        .last_good(&url(URL))
        .unwrap()
        .client
        .name
        .as_deref()
        != Some("Two")
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(web.asked().len(), 2);
}

/// CLI-17, CLI-18
#[tokio::test]
async fn a_host_that_failed_is_left_alone_for_a_minute_by_those_for_whom_the_copy_will_do() {
    let (web, clock, documents) = hurried();
    publish(&web, "One");
    agreed(&documents).await.unwrap();
    clock.advance(60 * SECOND);
    web.fail(URL, FetchFault::Connect);
    assert!(agreed(&documents).await.is_err(), "told once");
    web.asked();
    for _ in 0..59 {
        assert_eq!(agreed(&documents).await.unwrap(), "One");
        clock.advance(SECOND);
    }
    assert_eq!(web.asked().len(), 0);
    assert!(fresh(&documents).await.is_err(), "no copy of the failure");
    publish(&web, "Two");
    assert_eq!(agreed(&documents).await.unwrap(), "One", "it failed again");
    clock.advance(60 * SECOND);
    assert_eq!(agreed(&documents).await.unwrap(), "Two");
}

/// CLI-14, CLI-16, CLI-18
#[tokio::test]
async fn keys_in_a_document_are_fresh_for_an_hour_and_do_for_a_day_without_its_host() {
    let (web, clock, documents) = hurried();
    publish_key(&web, "One");
    agreed(&documents).await.unwrap();
    publish_key(&web, "Two");
    clock.advance(3599 * SECOND);
    assert_eq!(agreed(&documents).await.unwrap(), "One");
    clock.advance(SECOND);
    assert_eq!(agreed(&documents).await.unwrap(), "Two");
    web.fail(URL, FetchFault::Connect);
    clock.advance((25 * 3600 - 1) * SECOND);
    agreed(&documents).await.unwrap_err();
    let copy = documents.last_good(&url(URL)).unwrap();
    assert!(documents.bears(&copy));
    assert_eq!(agreed(&documents).await.unwrap(), "Two");
    clock.advance(SECOND);
    assert!(!documents.bears(&copy));
    agreed(&documents).await.unwrap_err();
}

/// CLI-14
#[tokio::test]
async fn a_document_is_looked_at_again_for_a_missing_key_once_a_minute() {
    let (web, clock, documents) = hurried();
    publish_key(&web, "One");
    agreed(&documents).await.unwrap();
    publish_key(&web, "Two");
    let again = async || documents.client_again(&url(URL), KNOWN).await;
    clock.advance(59 * SECOND);
    assert_eq!(
        again().await.unwrap_err().to_string(),
        "too many documents were asked for; try again in 1 s"
    );
    clock.advance(SECOND);
    let found = again().await.unwrap();
    assert_eq!(found.client.name.as_deref(), Some("Two"));
    assert_eq!(web.asked().len(), 2);
    clock.advance(60 * SECOND);
    web.put(URL, |_| Ok(page("{", None, None)));
    let error = again().await.unwrap_err();
    assert!(matches!(error, DocumentError::Keys(_)), "{error}");
    let error = again().await.unwrap_err();
    assert!(matches!(error, DocumentError::TooMany { .. }), "{error}");
}

/// CLI-16
#[tokio::test]
async fn what_was_read_by_other_rules_is_read_again_even_if_it_is_unchanged() {
    for (rules, etag) in [(RULES, Some("\"v1\"")), (RULES - 1, None)] {
        let (web, clock, documents) = hurried();
        publish(&web, "One");
        let read = documents.client(&url(URL), KNOWN, None).await.unwrap();
        let kept = ClientDocument {
            rules,
            fresh_until: clock.now(),
            ..(*read).clone()
        };
        let (web, _clock, restarted) = hurried();
        publish(&web, "One");
        let found = restarted.client(&url(URL), KNOWN, Some(kept)).await;
        assert_eq!(found.unwrap().rules, RULES);
        assert_eq!(web.asked()[0].etag.as_deref(), etag, "{rules}");
    }
}

/// CLI-14, CLI-17
#[tokio::test]
async fn what_fails_or_hangs_for_a_stranger_is_not_held_against_who_is_known() {
    let (web, clock, documents) = hurried();
    publish(&web, "One");
    agreed(&documents).await.unwrap();
    clock.advance(60 * SECOND);
    web.fail(URL, FetchFault::TooSlow);
    documents.client(&url(URL), ASKER, None).await.unwrap_err();
    publish(&web, "Two");
    assert_eq!(agreed(&documents).await.unwrap(), "Two");
    clock.advance(60 * SECOND);
    web.asked();
    web.close();
    let stranger = tokio::spawn({
        let documents = Arc::clone(&documents);
        async move { documents.client(&url(URL), ASKER, None).await.is_ok() }
    });
    settle().await;
    let known = tokio::spawn(async move { fresh(&documents).await });
    settle().await;
    assert_eq!(web.asked().len(), 2, "each for themselves");
    web.open();
    assert!(stranger.await.unwrap() && known.await.unwrap().is_ok());
}

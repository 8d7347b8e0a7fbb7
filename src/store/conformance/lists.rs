//! Lists: each row once and in order, page by page, whatever happens to the others meanwhile.

use std::sync::Arc;

use super::{Tried, end, later, ok, race};
use crate::clock::UnixTime;
use crate::protocol::client::Client;
use crate::protocol::client_metadata::ClientDocument;
use crate::protocol::grant::Grant;
use crate::protocol::ids::ClientId;
use crate::protocol::session::Session;
use crate::store::Store;
use crate::store::sample::{NOW, client, code, document, first_sign_in, id, pending, session};

/// Rows of each list. Every third has expired by [`later`] of 1.
const ROWS: u64 = 20;
/// Rows of a page: the last one is not full.
const PAGE: usize = 3;

fn expires_first(number: u64) -> bool {
    number.is_multiple_of(3)
}

/// Session `number`, of a person of its own.
fn numbered(number: u64) -> Session {
    session(id(number), later(if expires_first(number) { 1 } else { 3 }))
}

/// Puts rows of each list, in no order, with rows of other tables around them.
async fn fill(store: &dyn Store) {
    for number in (0..ROWS).map(|number| number * 7 % ROWS) {
        let expires = numbered(number).expires;
        let name = format!("client {number:02}");
        ok(store.put_client(client(&name), expires).await);
        ok(store.put_document(document(&name), expires).await);
        ok(store.put_pending(id(number), pending(later(9))).await);
        let mut signed_in = first_sign_in(code(id(number), later(1)), numbered(number));
        signed_in.grant.expires = expires;
        ok(store.put_code(id(number + 100), signed_in, NOW).await);
    }
}

/// The numbers of the rows that have not expired by [`later`] of 1.
fn living() -> impl Iterator<Item = u64> {
    (0..ROWS).filter(|number| !expires_first(*number))
}

/// Goes through a list page by page, to its end.
async fn all<T: Clone>(page: impl AsyncFn(Option<T>) -> Vec<T>) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let next = page(all.last().cloned()).await;
        assert!(next.len() <= PAGE, "a page of {}", next.len());
        if next.is_empty() {
            return all;
        }
        all.extend(next);
    }
}

/// Sessions are listed once each, in the order of their ids, those that have expired are not, and of others nothing is.
pub async fn sessions_are_listed_page_by_page(store: Tried) {
    fill(&*store).await;
    let page = async |after: Option<Session>| {
        let after = after.map(|session| session.id);
        ok(store.list_sessions(after, PAGE, later(1)).await)
    };
    let expected: Vec<_> = living().map(numbered).collect();
    assert_eq!(all(page).await, expected);
    assert_eq!(ok(store.list_sessions(None, 0, NOW).await), []);
    let whole = ok(store.list_sessions(None, 100, NOW).await);
    assert_eq!(whole, (0..ROWS).map(numbered).collect::<Vec<_>>());
}

/// Grants are listed once each, in the order of their keys, and those that have expired are not.
pub async fn grants_are_listed_page_by_page(store: Tried) {
    fill(&*store).await;
    let page = async |after| {
        let grants = ok(store.list_grants(after, PAGE, later(1)).await);
        grants.iter().map(Grant::key).collect()
    };
    let mut expected = Vec::new();
    for person in living().map(|number| numbered(number).subject) {
        let grant = ok(store.find_grant(&person, later(1)).await).expect("it is there");
        expected.push(grant.key());
    }
    expected.sort_by_key(|key| *key.as_bytes());
    assert_eq!(all(page).await, expected);
    let first = ok(store.list_grants(None, 1, later(1)).await);
    let found = store.find_grant(first[0].subject(), later(1)).await;
    assert_eq!(ok(found).as_ref(), first.first());
}

/// Clients and their documents are listed once each, in the order of their names, each with its own end.
pub async fn clients_and_documents_are_listed_page_by_page(store: Tried) {
    fill(&*store).await;
    let name = |number| format!("client {number:02}");
    let clients = async |after: Option<(Client, UnixTime)>| {
        let after = after.map(|(client, _)| client.id);
        ok(store.list_clients(after.as_ref(), PAGE, later(1)).await)
    };
    let expected: Vec<_> = living()
        .map(|number| (client(&name(number)), later(3)))
        .collect();
    assert_eq!(all(clients).await, expected);
    let documents = async |after: Option<(ClientDocument, UnixTime)>| {
        let after = after.map(|(document, _)| document.client.id);
        ok(store.list_documents(after.as_ref(), PAGE, later(1)).await)
    };
    let expected: Vec<_> = living()
        .map(|number| (document(&name(number)), later(3)))
        .collect();
    assert_eq!(all(documents).await, expected);
}

/// Whoever goes on behind a row that is gone misses none and sees none twice.
pub async fn a_list_goes_on_behind_what_is_gone(store: Tried) {
    fill(&*store).await;
    let mut seen = Vec::new();
    let mut after = None;
    while let Some(session) = ok(store.list_sessions(after, 1, NOW).await).pop() {
        after = Some(session.id);
        seen.push(session);
        let number = seen.len() as u64 - 1;
        assert!(end(&store, number).await);
    }
    assert_eq!(seen, (0..ROWS).map(numbered).collect::<Vec<_>>());
    // each was the only one of its person
    assert_eq!(ok(store.list_grants(None, 100, NOW).await), []);

    let mut seen = 0;
    let mut after: Option<ClientId> = None;
    while let Some((client, _)) = ok(store.list_clients(after.as_ref(), 1, NOW).await).pop() {
        assert!(ok(store.forget_client(&client.id).await));
        assert!(ok(store.forget_document(&client.id).await));
        after = Some(client.id);
        seen += 1;
    }
    assert_eq!(seen, ROWS);
    assert_eq!(ok(store.list_documents(None, 100, NOW).await), []);
}

/// Of 16 who forget a document at once, one did; the registration of the same name is not touched.
pub async fn a_document_is_forgotten_once(store: Tried) {
    let name = ClientId::new("a");
    assert!(!ok(store.forget_document(&name).await));
    ok(store.put_document(document("a"), later(1)).await);
    ok(store.put_client(client("a"), later(1)).await);
    let forgot = race(16, |_| {
        let (store, name) = (Arc::clone(&store), name.clone());
        async move { ok(store.forget_document(&name).await) }
    });
    assert_eq!(forgot.await.into_iter().filter(|&won| won).count(), 1);
    assert_eq!(ok(store.find_document(&name, NOW).await), None);
    assert!(ok(store.find_client(&name, NOW).await).is_some());
}

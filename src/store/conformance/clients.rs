//! Clients that registered.

use std::sync::Arc;
use std::time::Duration;

use super::{Tried, just_before, later, ok, race};
use crate::clock::UnixTime;
use crate::protocol::client::Client;
use crate::protocol::ids::ClientId;
use crate::store::ClientChange;
use crate::store::sample::{NOW, client};

/// A client is found, as it was put, until the moment it expires.
pub async fn a_client_is_found_until_it_expires(store: Tried) {
    let kept = client("a");
    ok(store.put_client(kept.clone(), later(1)).await);
    let find = async |name, now| ok(store.find_client(&ClientId::new(name), now).await);
    assert_eq!(
        find("a", just_before(later(1))).await,
        Some((kept, later(1)))
    );
    assert_eq!(find("a", later(1)).await, None);
    assert_eq!(find("b", NOW).await, None);
}

/// A second client of the same identifier is refused, and the first stays as it is.
pub async fn a_client_is_not_replaced(store: Tried) {
    let kept = client("a");
    ok(store.put_client(kept.clone(), later(1)).await);
    let mut other = client("a");
    other.name = Some("Another".to_owned());
    assert!(store.put_client(other, later(9)).await.is_err());
    let found = ok(store.find_client(&kept.id, NOW).await);
    assert_eq!(found, Some((kept, later(1))));
}

/// `keep_client` never makes the time shorter.
pub async fn keeping_a_client_never_shortens_its_time(store: Tried) {
    let name = ClientId::new("a");
    ok(store.put_client(client("a"), later(2)).await);
    for (until, expires) in [(1, 2), (2, 2), (3, 3), (1, 3)] {
        ok(store.keep_client(&name, later(until), NOW).await);
        let found = ok(store.find_client(&name, NOW).await);
        assert_eq!(found, Some((client("a"), later(expires))), "until {until}");
    }
}

/// `keep_client` makes no client, and wakes none that has expired.
pub async fn keeping_a_client_never_brings_it_back(store: Tried) {
    let name = ClientId::new("a");
    ok(store.keep_client(&name, later(5), NOW).await);
    assert_eq!(ok(store.find_client(&name, NOW).await), None);
    ok(store.put_client(client("a"), later(1)).await);
    ok(store.keep_client(&name, later(5), later(1)).await);
    assert_eq!(ok(store.find_client(&name, later(1)).await), None);
}

/// However many keep a client at once, none fails and the latest moment counts.
pub async fn of_many_who_keep_a_client_the_latest_counts(store: Tried) {
    let name = ClientId::new("a");
    ok(store.put_client(client("a"), later(1)).await);
    let kept = race(64, |caller| {
        let (store, name) = (Arc::clone(&store), name.clone());
        let until = later(2) + Duration::from_secs(caller as u64);
        async move { store.keep_client(&name, until, NOW).await }
    });
    kept.await.into_iter().for_each(ok);
    let latest = later(2) + Duration::from_secs(63);
    let found = ok(store.find_client(&name, NOW).await);
    assert_eq!(found, Some((client("a"), latest)));
}

/// The client `a` under another name.
fn renamed(name: &str) -> Client {
    Client {
        name: Some(name.to_owned()),
        ..client("a")
    }
}

/// Changes the client `a`, as it was put, to another name.
async fn change(store: &Tried, to: &str, now: UnixTime) -> ClientChange {
    ok(store.change_client(&client("a"), renamed(to), now).await)
}

/// A changed client is what it was changed to, and is kept as long as it would have been.
pub async fn a_changed_client_is_kept_as_long_as_before(store: Tried) {
    let name = ClientId::new("a");
    ok(store.put_client(client("a"), later(2)).await);
    ok(store.put_client(client("b"), later(2)).await);
    assert_eq!(change(&store, "new", later(1)).await, ClientChange::Done);
    let find = async |now| ok(store.find_client(&name, now).await);
    let changed = Some((renamed("new"), later(2)));
    assert_eq!(find(NOW).await, changed);
    assert_eq!(find(just_before(later(2))).await, changed);
    assert_eq!(find(later(2)).await, None);
    let other = ok(store.find_client(&ClientId::new("b"), NOW).await);
    assert_eq!(other, Some((client("b"), later(2))));
    // ... swept or not
    assert_eq!(ok(store.sweep(just_before(later(2)), 100).await), 0);
    assert_eq!(ok(store.sweep(later(2), 100).await), 2);
}

/// `change_client` makes no client: not where none was, nor one that has expired or was forgotten.
pub async fn changing_a_client_never_brings_it_back(store: Tried) {
    let name = ClientId::new("a");
    let change = async |now| change(&store, "new", now).await;
    let find = async |now| ok(store.find_client(&name, now).await);
    assert_eq!(change(NOW).await, ClientChange::Gone);
    assert_eq!(find(NOW).await, None);
    ok(store.put_client(client("a"), later(1)).await);
    assert_eq!(change(later(1)).await, ClientChange::Gone);
    assert_eq!(find(later(1)).await, None);
    assert_eq!(find(NOW).await, Some((client("a"), later(1))));
    assert!(ok(store.forget_client(&name).await));
    assert_eq!(change(NOW).await, ClientChange::Gone);
    assert_eq!(find(NOW).await, None);
}

/// A client that was changed since it was seen stays as it is, and whoever saw it so is told; also where the change would
/// have been the same.
pub async fn a_client_is_changed_only_from_what_it_is(store: Tried) {
    let name = ClientId::new("a");
    ok(store.put_client(client("a"), later(1)).await);
    assert_eq!(change(&store, "first", NOW).await, ClientChange::Done);
    for to in ["second", "first"] {
        assert_eq!(change(&store, to, NOW).await, ClientChange::Overtaken);
        let found = ok(store.find_client(&name, NOW).await);
        assert_eq!(found, Some((renamed("first"), later(1))), "{to}");
    }
    let seen = renamed("first");
    let changed = ok(store.change_client(&seen, renamed("second"), NOW).await);
    assert_eq!(changed, ClientChange::Done);
    let found = ok(store.find_client(&name, NOW).await);
    assert_eq!(found, Some((renamed("second"), later(1))));
}

/// Of 32 who change a client at once, as they all saw it, one does; the others are told that they were overtaken.
pub async fn of_many_who_change_a_client_one_does(store: Tried) {
    let name = ClientId::new("a");
    ok(store.put_client(client("a"), later(1)).await);
    let changed = race(32, |caller| {
        let store = Arc::clone(&store);
        async move { (caller, change(&store, &caller.to_string(), NOW).await) }
    });
    let (done, others): (Vec<_>, Vec<_>) = changed
        .await
        .into_iter()
        .partition(|(_, change)| *change == ClientChange::Done);
    assert_eq!(done.len(), 1);
    let overtaken = |(_, change): &(usize, ClientChange)| *change == ClientChange::Overtaken;
    assert!(others.iter().all(overtaken));
    let found = ok(store.find_client(&name, NOW).await);
    let left = renamed(&done[0].0.to_string());
    assert_eq!(found, Some((left, later(1))));
}

/// Whoever changes a client while another keeps it undoes nothing, and the other way round.
pub async fn a_client_that_is_kept_while_it_is_changed_is_both(store: Tried) {
    let name = ClientId::new("a");
    ok(store.put_client(client("a"), later(1)).await);
    let done = race(32, |caller| {
        let (store, name) = (Arc::clone(&store), name.clone());
        async move {
            if caller == 0 {
                // nobody else changes it: that it is kept meanwhile is no change
                return change(&store, "new", NOW).await == ClientChange::Done;
            }
            let until = later(2) + Duration::from_secs(caller as u64);
            ok(store.keep_client(&name, until, NOW).await);
            true
        }
    });
    assert_eq!(done.await, [true; 32]);
    let latest = later(2) + Duration::from_secs(31);
    let found = ok(store.find_client(&name, NOW).await);
    assert_eq!(found, Some((renamed("new"), latest)));
}

/// Of 32 who forget a client at once, one did; and nobody brings it back, be it kept or changed at the same moment.
pub async fn a_client_is_forgotten_once(store: Tried) {
    let name = ClientId::new("a");
    assert!(!ok(store.forget_client(&name).await));
    for _ in 0..16 {
        ok(store.put_client(client("a"), later(1)).await);
        ok(store.put_client(client("b"), later(1)).await);
        let forgot = race(32, |caller| {
            let (store, name) = (Arc::clone(&store), name.clone());
            async move {
                match caller % 4 {
                    0 => drop(change(&store, "new", NOW).await),
                    1 => ok(store.keep_client(&name, later(2), NOW).await),
                    _ => return ok(store.forget_client(&name).await),
                }
                false
            }
        });
        assert_eq!(forgot.await.into_iter().filter(|&won| won).count(), 1);
        assert_eq!(ok(store.find_client(&name, NOW).await), None);
        // the others are untouched
        assert!(ok(store.forget_client(&ClientId::new("b")).await));
    }
}

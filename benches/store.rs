//! What the store costs: a look, a durable write, and a rotation, alone and with others that share the flush.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that fails has nothing to say"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anteroom::clock::UnixTime;
use anteroom::store::Store;
use anteroom::store::memory::MemoryStore;
use anteroom::store::sample::{NOW, code, first_sign_in, id, opening, pending, session, turn};
use anteroom::store::sled::SledStore;
use divan::Bencher;
use tempfile::{TempDir, tempdir};
use tokio::runtime::Runtime;

fn main() {
    divan::main();
}

/// Writers at once.
const CALLERS: [u64; 3] = [1, 8, 64];

fn expires() -> UnixTime {
    NOW + Duration::from_secs(3600)
}

struct Place {
    runtime: Runtime,
    store: Arc<dyn Store>,
    _directory: Option<TempDir>,
}

/// A store with session 0 to `sessions`, each in force with the token `0`.
fn place(on_disk: bool, sessions: u64) -> Place {
    let runtime = Runtime::new().unwrap();
    let directory = on_disk.then(|| tempdir().unwrap());
    let store: Arc<dyn Store> = match &directory {
        Some(directory) => Arc::new(SledStore::open(directory.path()).unwrap()),
        None => Arc::new(MemoryStore::default()),
    };
    runtime.block_on(async {
        for number in 0..sessions {
            let (at, of) = (id(1 << 32 | number), id(number));
            let put = store.put_code(
                at,
                first_sign_in(code(of, expires()), session(of, expires())),
                NOW,
            );
            put.await.unwrap();
            let spent = store.spend_code(at, opening("0", expires()), NOW);
            spent.await.unwrap().unwrap();
        }
    });
    Place {
        runtime,
        store,
        _directory: directory,
    }
}

#[divan::bench(args = [true, false])]
fn find_session(bencher: Bencher, on_disk: bool) {
    let place = place(on_disk, 1);
    bencher.bench_local(|| {
        let found = place.store.find_session(id(0), NOW);
        place.runtime.block_on(found).unwrap().unwrap()
    });
}

/// One round: each caller puts one row, durable before it returns.
#[divan::bench(args = CALLERS)]
fn put_pending(bencher: Bencher, callers: u64) {
    let place = place(true, 0);
    let next = AtomicU64::new(0);
    bencher.counter(callers).bench_local(|| {
        let first = next.fetch_add(callers, Ordering::Relaxed);
        place.runtime.block_on(async {
            let puts = (first..first + callers).map(|number| {
                let store = Arc::clone(&place.store);
                tokio::spawn(async move { store.put_pending(id(number), pending(expires())).await })
            });
            for put in puts.collect::<Vec<_>>() {
                put.await.unwrap().unwrap();
            }
        });
    });
}

/// One round: each caller rotates the token of its own session.
#[divan::bench(args = CALLERS)]
fn rotate_refresh(bencher: Bencher, callers: u64) {
    let place = place(true, callers);
    let round = AtomicU64::new(0);
    bencher.counter(callers).bench_local(|| {
        let round = round.fetch_add(1, Ordering::Relaxed);
        place.runtime.block_on(async {
            let rotations = (0..callers).map(|number| {
                let store = Arc::clone(&place.store);
                let turn = turn(&round.to_string(), &(round + 1).to_string(), expires());
                tokio::spawn(async move { store.rotate_refresh(id(number), turn, NOW).await })
            });
            for rotation in rotations.collect::<Vec<_>>() {
                assert!(rotation.await.unwrap().unwrap().unwrap().won);
            }
        });
    });
}

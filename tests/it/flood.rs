//! A flood of registrations is refused, leaves little behind, and nobody else notices it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::{Duration, Instant};

use anteroom::config::Limits;
use axum::body::Bytes;

use crate::harness::answer::{Answer, request_with};
use crate::harness::client::{Client, Tokens};
use crate::harness::server::{Server, rate, server};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How many come from one address.
const FLOOD: u32 = 100_000;
/// How many addresses come, each once. More of them bring nothing new but time: that what is kept of addresses is bounded
/// is shown where it is kept.
const CROWD: u32 = 25_000;
/// From how many tasks at once.
const TASKS: u32 = 4;

/// What is on the disk afterwards and was not before. At most two thousand rows of half a KiB, each with its entry for the
/// sweep, and what those who work meanwhile write; sled makes its file longer by half a MiB at a time.
const MOST_BYTES: usize = 4 << 20;

/// What a flood got.
#[derive(Debug, Default)]
struct Outcome {
    registered: u32,
    refused: u32,
}

async fn register_from(server: &Server, address: &str, body: &Bytes) -> Answer {
    let mut asked = request_with("/register", "application/json", body.clone());
    let address = address.parse().unwrap();
    asked.headers_mut().insert("x-forwarded-for", address);
    server.send(asked).await
}

fn good_body() -> Bytes {
    Client::public().to_string().into()
}

/// Lets everybody come; each is let in, or told when to come again.
async fn flood(server: &Server, many: u32, address: fn(u32) -> String) -> Outcome {
    let tasks = (0..TASKS).map(|task| {
        let server = server.clone();
        tokio::spawn(async move {
            let (mut outcome, body) = (Outcome::default(), good_body());
            for n in (task..many).step_by(TASKS as usize) {
                let answer = register_from(&server, &address(n), &body).await;
                if answer.status == 201 {
                    outcome.registered += 1;
                    continue;
                }
                assert_eq!(answer.status, 429, "{}", answer.text());
                let seconds: u64 = answer.header("retry-after").parse().unwrap();
                assert!((1..=60).contains(&seconds), "{seconds}");
                assert_eq!(answer.header("cache-control"), "no-store");
                outcome.refused += 1;
            }
            outcome
        })
    });
    let mut all = Outcome::default();
    for task in tasks.collect::<Vec<_>>() {
        let outcome = task.await.unwrap();
        all.registered += outcome.registered;
        all.refused += outcome.refused;
    }
    all
}

/// A server with the limits that hold where nothing is written, on disk, behind a proxy that it trusts.
async fn exposed() -> Server {
    server()
        .on_sled()
        .configure(|config| {
            config.limits = Limits::default();
            config.trusted_proxies.push("127.0.0.0/8".parse().unwrap());
        })
        .start()
        .await
}

/// What somebody does who is connected already: signs in once more, refreshes, calls.
async fn use_it(client: &Client, tokens: &Tokens) -> Tokens {
    assert_eq!(client.initialize(&tokens.access).await.status, 200);
    client.sign_in("mona").await;
    Tokens::read(&client.refresh(&tokens.refresh).await)
}

/// Runs a flood while somebody works; what it leaves behind is at most what `burst` and `a_second` let in.
async fn withstand(
    server: &Server,
    many: u32,
    address: fn(u32) -> String,
    [burst, a_second]: [u64; 2],
) {
    let client = server.client().await;
    let mut tokens = client.sign_in("mona").await;
    let before = server.on_disk().len();
    let start = Instant::now();
    let mut running = pin!(flood(server, many, address));
    let mut turns = 0;
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut running => break outcome,
            () = tokio::time::sleep(Duration::from_millis(50)) => {
                tokens = use_it(&client, &tokens).await;
                turns += 1;
            }
        }
    };
    let most = burst + a_second * (start.elapsed().as_secs() + 1);
    assert!(turns > 0, "nobody worked meanwhile");
    assert!(u64::from(outcome.registered) >= burst, "{outcome:?}");
    assert!(u64::from(outcome.registered) <= most, "{outcome:?}");
    assert_eq!(outcome.registered + outcome.refused, many);
    let left = server.on_disk().len().saturating_sub(before);
    assert!(left <= MOST_BYTES, "{left} bytes");
    // all of it goes, and nothing of it was more than one row a registration
    server.advance(DAY);
    let swept = server.app.flows().sweep().await.unwrap() as u64;
    let of_others = 10 * (turns + 1);
    assert!(swept >= u64::from(outcome.registered), "{swept}");
    assert!(swept <= most + of_others, "{swept} rows");
    Tokens::read(&client.refresh(&tokens.refresh).await);
}

/// CLI-43, SEC-06, SEC-07
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_address_is_refused_and_others_register_meanwhile() {
    let server = exposed().await;
    let watched = server.clone();
    let others = tokio::spawn(async move {
        let mut registered = 0;
        for n in 0..20 {
            let answer = register_from(&watched, &format!("203.0.113.{n}"), &good_body()).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            registered += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        registered
    });
    withstand(&server, FLOOD, |_| "198.51.100.7".to_owned(), [60, 1]).await;
    assert_eq!(others.await.unwrap(), 20);
}

/// CLI-43, SEC-06, SEC-07
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_everywhere_is_refused_and_who_is_connected_works_on() {
    let server = exposed().await;
    let address = |n: u32| Ipv4Addr::from_bits(0x0b00_0000 + n).to_string();
    withstand(&server, CROWD, address, [1199, 20]).await;
}

/// CLI-44, SEC-07
#[tokio::test]
async fn who_registers_in_a_crowd_has_an_hour_to_sign_in() {
    let server = server()
        .configure(|config| {
            config.limits.register = rate(100_000, MINUTE);
            config.limits.register_all = rate(100_000, MINUTE);
        })
        .start()
        .await;
    let first = server.client().await;
    for _ in 0..999 {
        server.client().await;
    }
    let mut late = server.client().await;
    // some more are no crowd yet where this took its time
    for _ in 0..50 {
        late = server.client().await;
    }
    let used = server.client().await;
    let tokens = used.sign_in("mona").await;
    server.advance(59 * MINUTE + Duration::from_secs(59));
    server.get(&late.authorization_url()).await.assert_page(200);
    server.advance(Duration::from_secs(1));
    server.get(&late.authorization_url()).await.assert_page(400);
    let gone = late.redeem("x").await;
    assert_eq!(
        (gone.status.as_u16(), gone.error().as_str()),
        (401, "invalid_client")
    );
    let swept = server.app.flows().sweep().await.unwrap();
    // and what is left of the sign-in
    assert!((1..=60).contains(&swept), "{swept}");
    server
        .get(&first.authorization_url())
        .await
        .assert_page(200);
    server.advance(DAY);
    server
        .get(&first.authorization_url())
        .await
        .assert_page(400);
    assert!(server.app.flows().sweep().await.unwrap() >= 999);
    Tokens::read(&used.refresh(&tokens.refresh).await);
}

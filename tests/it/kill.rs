//! `kill -9` of the whole program at any moment: nothing that a client was told is lost, and nothing works twice.
//!
//! Clients register, sign in and refresh over real sockets while the program is killed under them; the next process
//! goes on with the same directory. `crash.rs` has the same for the store alone.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, and what helps them: a failure is a failed test"
)]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anteroom::entropy;
use anteroom::standin::Standin;
use reqwest::StatusCode;
use tokio::task::JoinSet;

use crate::harness::process::{Answer, Client, Code, Gone, Http, Journey, Place, Process};

/// Kills of one directory while clients are at work.
const UNDER_LOAD: usize = 80;
/// Kills of the same directory while the program starts.
const WHILE_STARTING: usize = 20;
/// Connections that are at work in each process; whoever comes later is made to misbehave.
const AT_WORK: usize = 12;

/// A client that somebody signed in with, and what it knows for certain.
#[derive(Debug)]
struct Connection {
    client: Client,
    code: Code,
    /// The refresh tokens that it was given, oldest first.
    tokens: Vec<String>,
    /// It asked for the next token, and never heard.
    waits: bool,
}

impl Connection {
    fn new(client: Client, code: Code, answer: &Answer) -> Self {
        Self {
            client,
            code,
            tokens: vec![answer.text("refresh_token")],
            waits: false,
        }
    }

    fn current(&self) -> &str {
        self.tokens.last().unwrap()
    }
}

/// A code that a client was given.
#[derive(Debug)]
struct InHand {
    client: Client,
    code: Code,
    /// It was presented, and the answer never came.
    tried: bool,
}

/// Everything that was acknowledged.
#[derive(Default)]
struct Told {
    clients: Vec<Client>,
    codes: Vec<InHand>,
    connections: Vec<Connection>,
    /// Connections that are over.
    ended: Vec<Connection>,
    refreshed: usize,
}

impl Told {
    fn add(&mut self, more: Self) {
        self.clients.extend(more.clients);
        self.codes.extend(more.codes);
        self.connections.extend(more.connections);
        self.ended.extend(more.ended);
        self.refreshed += more.refreshed;
    }
}

/// The clients' side.
struct World {
    http: Http,
    place: Place,
    // Stops when it is dropped.
    _standin: Standin,
}

impl World {
    async fn new() -> Self {
        let standin = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        Self {
            http: Http::new(),
            place: Place::new(&standin.base_url()),
            _standin: standin,
        }
    }

    async fn serving(&self) -> Process {
        let mut process = self.place.start("warn");
        let waiting = tokio::task::spawn_blocking(move || {
            let serves = process.wait_until_it_serves();
            (process, serves)
        });
        let (process, serves) = waiting.await.unwrap();
        assert!(serves, "{}", self.place.logged());
        process
    }

    async fn token(&self, client: &Client, form: &[(&str, &str)]) -> Result<Answer, Gone> {
        let url = format!("{}/token", self.place.base);
        self.http.ask_as(client, &url, form).await
    }

    async fn present(&self, client: &Client, token: &str) -> Result<Answer, Gone> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.token(client, &form).await
    }

    /// Refreshes: the token in force, or the one whose answer was lost, must do.
    async fn refresh(&self, connection: &mut Connection) -> Result<(), Gone> {
        let lost = std::mem::replace(&mut connection.waits, true);
        let answer = self
            .present(&connection.client, connection.current())
            .await?;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{} after {} refreshes, the answer before was lost: {lost}",
            answer.body,
            connection.tokens.len() - 1
        );
        connection.tokens.push(answer.text("refresh_token"));
        connection.waits = false;
        Ok(())
    }

    /// Signs in as a new client: what it was told on the way, and whether it came to the end.
    async fn arrive(&self, told: &mut Told) -> Result<(), Gone> {
        let base = &self.place.base;
        let client = self.http.register(base, "none").await?;
        let code = Journey::begin(&self.http, base, &client).await?;
        let code = code.code("mona").await?;
        told.codes.push(InHand {
            client,
            code,
            tried: false,
        });
        let last = told.codes.len() - 1;
        // one in three keeps its code for the next process
        if entropy::random::<1>()[0].is_multiple_of(3) {
            return Ok(());
        }
        told.codes[last].tried = true;
        let InHand { client, code, .. } = &told.codes[last];
        let answer = self.token(client, &code.form()).await?;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let InHand { client, code, .. } = told.codes.remove(last);
        told.connections
            .push(Connection::new(client, code, &answer));
        Ok(())
    }

    /// Everything that clients do, from several sides at once, until the program is gone.
    fn load(self: &Arc<Self>, mut connections: Vec<Connection>) -> JoinSet<Told> {
        let mut tasks = JoinSet::new();
        let half = connections.split_off(connections.len() / 2);
        for mut connections in [connections, half] {
            let world = Arc::clone(self);
            tasks.spawn(async move {
                let mut told = Told::default();
                'alive: while !connections.is_empty() {
                    for connection in &mut connections {
                        if world.refresh(connection).await.is_err() {
                            break 'alive;
                        }
                        told.refreshed += 1;
                    }
                }
                told.connections = connections;
                told
            });
        }
        let world = Arc::clone(self);
        tasks.spawn(async move {
            let mut told = Told::default();
            while let Ok(client) = world
                .http
                .register(&world.place.base, "client_secret_post")
                .await
            {
                told.clients.push(client);
            }
            told
        });
        let world = Arc::clone(self);
        tasks.spawn(async move {
            let mut told = Told::default();
            while world.arrive(&mut told).await.is_ok() {}
            told
        });
        tasks
    }

    /// What the process before has told its clients still holds.
    async fn check(&self, last: &mut Told) {
        for client in &last.clients {
            let url = format!("{}/revoke", self.place.base);
            let form = [("token", "of no use")];
            let answer = self.http.ask_as(client, &url, &form).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "client {}", client.id);
        }
        for InHand {
            client,
            code,
            tried,
        } in std::mem::take(&mut last.codes)
        {
            let answer = self.token(&client, &code.form()).await.unwrap();
            if answer.status == StatusCode::OK {
                last.connections
                    .push(Connection::new(client, code, &answer));
            } else {
                assert!(tried, "a code is lost: {}", answer.body);
                assert_refused(&answer);
            }
        }
        for connection in &mut last.connections {
            if connection.waits {
                self.refresh(connection).await.unwrap();
            }
        }
    }

    /// Uses something of a connection that was used up, and is refused; then nothing of the connection works any more.
    async fn misbehave(&self, connection: &Connection) {
        let Connection {
            client,
            code,
            tokens,
            ..
        } = connection;
        let answer = match tokens.len() {
            ..3 => self.token(client, &code.form()).await.unwrap(),
            // the last two may be the ones in force and before
            count => self.present(client, &tokens[count - 3]).await.unwrap(),
        };
        assert_refused(&answer);
        self.assert_ended(connection).await;
    }

    async fn assert_ended(&self, connection: &Connection) {
        let current = self.present(&connection.client, connection.current());
        assert_refused(&current.await.unwrap());
        let form = connection.code.form();
        let again = self.token(&connection.client, &form);
        assert_refused(&again.await.unwrap());
    }

    /// One process: everything that was told before holds, clients are at work, and it is killed.
    async fn live_and_die(self: &Arc<Self>, told: &mut Told, last: Told) -> Told {
        let mut last = last;
        let process = self.serving().await;
        self.check(&mut last).await;
        let mut connections = std::mem::take(&mut last.connections);
        // the oldest have refreshed often, the newest not yet: both kinds misbehave
        while connections.len() > AT_WORK {
            for is_newest in [false, true] {
                let place = if is_newest { connections.len() - 1 } else { 0 };
                let connection = connections.remove(place);
                self.misbehave(&connection).await;
                last.ended.push(connection);
            }
        }
        told.add(last);
        let mut tasks = self.load(connections);
        tokio::time::sleep(moment(0..160_000)).await;
        process.kill();
        let mut now = Told::default();
        while let Some(task) = tasks.join_next().await {
            now.add(task.unwrap());
        }
        now
    }
}

fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert_eq!(answer.text("error"), "invalid_grant");
}

/// A moment out of `range`, in microseconds. It is the subject here; nothing is asserted on it.
fn moment(range: Range<u64>) -> Duration {
    let drawn = u64::from_be_bytes(entropy::random());
    Duration::from_micros(range.start + drawn % (range.end - range.start))
}

/// TOK-39
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_works_twice_however_often_the_program_is_killed()
{
    let world = Arc::new(World::new().await);
    let mut told = Told::default();
    let mut last = Told::default();
    for round in 0..UNDER_LOAD {
        last = world.live_and_die(&mut told, last).await;
        if round % (UNDER_LOAD / WHILE_STARTING) == 0 {
            let process = world.place.start("warn");
            tokio::time::sleep(moment(0..40_000)).await;
            process.kill();
        }
    }
    let process = world.serving().await;
    world.check(&mut last).await;
    told.add(last);
    let mut everything = Told {
        clients: std::mem::take(&mut told.clients),
        ..Told::default()
    };
    world.check(&mut everything).await;
    for connection in &mut told.connections {
        world.refresh(connection).await.unwrap();
    }
    for connection in &told.ended {
        world.assert_ended(connection).await;
    }
    for connection in &told.connections {
        world.misbehave(connection).await;
    }
    process.kill();
    assert!(
        told.refreshed > UNDER_LOAD,
        "only {} refreshes",
        told.refreshed
    );
    assert!(told.ended.len() > 4, "only {} ended", told.ended.len());
}

/// TOK-39
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_during_the_very_first_start_does_not_stop_the_next() {
    for _ in 0..10 {
        let world = World::new().await;
        let process = world.place.start("warn");
        tokio::time::sleep(moment(0..40_000)).await;
        process.kill();
        world.serving().await.kill();
    }
}

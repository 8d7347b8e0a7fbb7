//! Fetching what strangers name, from a real web site: whoever chooses the URL does not choose where we connect.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answer;
mod reach;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anteroom::outbound::resolver::Lookup;
use anteroom::outbound::stranger::{
    Fetch as _, FetchFault, Fetched, Limits, PrivateHost, Standing, StrangerClient, Wanted,
};
use async_trait::async_trait;
use bytes::Bytes;
use url::Url;

use crate::harness::website::Website;

/// A public address that belongs to nobody: `2000::/16` was never given out.
const NOBODY: &str = "[2000::1]:0";

/// A resolver that says what it was told to, one answer after another, the last one for ever.
struct Answers {
    answers: Vec<Vec<SocketAddr>>,
    asked: Mutex<Vec<String>>,
}

impl Answers {
    fn new<const N: usize>(answers: [&[SocketAddr]; N]) -> Arc<Self> {
        Arc::new(Self {
            answers: answers.into_iter().map(<[_]>::to_vec).collect(),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Lookup for Answers {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let mut asked = self.asked.lock().unwrap();
        let answer = self.answers.get(asked.len()).or(self.answers.last());
        asked.push(name.to_owned());
        answer.cloned().ok_or(io::ErrorKind::NotFound.into())
    }
}

/// A resolver that never answers.
struct Silence;

#[async_trait]
impl Lookup for Silence {
    async fn addresses(&self, _name: &str) -> io::Result<Vec<SocketAddr>> {
        pending().await
    }
}

/// A client that may ask `website`.
fn client(website: &Website) -> StrangerClient {
    let (host, port) = website.host();
    let private = PrivateHost { host, port };
    StrangerClient::new(&[website.ca().to_owned()], vec![private]).unwrap()
}

/// A client that believes the authority of `website`, but may not ask it.
fn outsider(website: &Website) -> StrangerClient {
    StrangerClient::new(&[website.ca().to_owned()], Vec::new()).unwrap()
}

fn wanted(url: &str) -> Wanted {
    Wanted {
        standing: Standing::Stranger,
        url: Url::parse(url).unwrap(),
        accept: "application/json",
        limit: 64 << 10,
        etag: None,
    }
}

async fn fault(client: &StrangerClient, wanted: Wanted) -> FetchFault {
    match client.get(wanted).await {
        Ok(fetched) => panic!("{fetched:?}"),
        Err(error) => error.cause,
    }
}

async fn body(client: &StrangerClient, url: &str) -> Bytes {
    match client.get(wanted(url)).await.unwrap() {
        Fetched::Page { body, .. } => body,
        Fetched::Unchanged(_) => panic!("{url}"),
    }
}

/// The address of `website`, as if it stood at the usual port.
fn address(website: &Website) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], website.host().1))
}

/// Time limits of a tenth of a second.
fn hurried() -> Limits {
    Limits {
        connect: Duration::from_millis(100),
        total: Duration::from_millis(100),
    }
}

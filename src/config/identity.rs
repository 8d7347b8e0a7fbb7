//! `server.identity`: what a server is told of whoever calls, and what cannot be told to which.

use url::Url;

use super::problem::Wrong;
use super::reader::Reader;
use super::server::is_near;
use super::{Told, child};
use crate::protocol::issuer::is_loopback;

/// What stands behind a path, as far as it decides what can be told to it.
#[derive(Clone, Copy)]
pub(super) enum Listener<'a> {
    /// The sample, in this process.
    Sample,
    /// A server over HTTP; none: its URL is wrong, and that is what needs a word.
    Http(Option<&'a Url>),
    /// A child.
    Command,
}

/// What the server is told.
pub(super) fn told(reader: &mut Reader<'_>, server: &str, listener: Listener<'_>) -> Option<Told> {
    let key = |word: &str| format!("{server}.identity.{word}");
    let [headers, assertion, token] = ["headers", "assertion", "upstream_token"].map(key);
    match listener {
        Listener::Sample => {
            for key in [headers, assertion, token] {
                if reader.is_set(&key) {
                    reader.warn(&key, "does nothing: the sample is told everything");
                }
            }
            Some(Told::default())
        }
        Listener::Http(url) => {
            let told = Told {
                headers: reader.flag_or(&headers, true),
                assertion: reader.flag_or(&assertion, true),
                upstream_token: reader.flag_or(&token, false),
            };
            match url {
                Some(url) if told.upstream_token => over_http(reader, &token, url)?,
                _ => {}
            }
            Some(told)
        }
        Listener::Command => {
            let is_shared = child::is_shared(reader, server);
            let told = Told {
                headers: reader.flag_or(&headers, !is_shared),
                // quietly off: who writes nothing is told nothing
                assertion: reader.is_set(&assertion) && reader.flag_or(&assertion, false),
                upstream_token: reader.flag_or(&token, false),
            };
            to_child(reader, server, told, is_shared)
        }
    }
}

/// Whether the provider's token may go to `url`.
fn over_http(reader: &mut Reader<'_>, key: &str, url: &Url) -> Option<()> {
    if url.scheme() == "https" || is_loopback(url) {
        return Some(());
    }
    if is_near(url) {
        let what =
            "sends the provider's token of the caller over the network in clear: backend is http";
        reader.warn(key, what);
        return Some(());
    }
    let what =
        "would send the provider's token of the caller in clear to a host that may be far away";
    let remedy = "write an https:// URL as backend, or upstream_token = false";
    reader.refuse(key, Wrong::new(what, remedy))
}

fn to_child(reader: &mut Reader<'_>, server: &str, told: Told, is_shared: bool) -> Option<Told> {
    let key = |word: &str| format!("{server}.identity.{word}");
    let mut wrong = false;
    if told.assertion {
        let what = "is for servers over HTTP: a child is told who calls in its variables, and needs no signature";
        let remedy = "take it out, or write headers = true";
        reader.refuse::<()>(&key("assertion"), Wrong::new(what, remedy));
        wrong = true;
    }
    if is_shared && told.headers {
        let what =
            "contradicts sessions = \"shared\": one child for everybody cannot be told who calls";
        let remedy = "write sessions = \"per-user\", or take it out";
        reader.refuse::<()>(&key("headers"), Wrong::new(what, remedy));
        wrong = true;
    }
    if is_shared && told.upstream_token {
        let what = "contradicts sessions = \"shared\": everybody would act with the token of whoever came first";
        let remedy = "write sessions = \"per-user\", or upstream_token = false";
        reader.refuse::<()>(&key("upstream_token"), Wrong::new(what, remedy));
        wrong = true;
    }
    (!wrong).then_some(told)
}

//! The cookies of a browser, and how it is sent on.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{COOKIE, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tower_sessions::cookie::time::Duration as CookieDuration;
use tower_sessions::{Expiry, Session, session};

use super::error::no_store;
use crate::clock::UnixTime;
use crate::flow::account::{Done, Visit};
use crate::flow::{Failure, StoreError};
use crate::protocol::ids::{Handle, Subject};
use crate::secret::{Secret, SecretDigest};

/// The cookie that comes with a consent page: the form is good in this browser alone. It says nothing, and opens
/// nothing.
pub struct FormCookie {
    name: &'static str,
    attributes: &'static str,
}

impl FormCookie {
    /// The cookie's form; `__Host-` where the issuer is https, so that no neighbour can set it (CONS-08).
    #[must_use]
    pub fn new(https: bool) -> Self {
        if https {
            Self {
                name: "__Host-anteroom-form",
                attributes: "; Path=/; Secure; HttpOnly; SameSite=Lax",
            }
        } else {
            Self {
                name: "anteroom-form",
                attributes: "; Path=/; HttpOnly; SameSite=Lax",
            }
        }
    }

    /// Digest of the cookie that the browser sent.
    #[must_use]
    pub fn read(&self, headers: &HeaderMap) -> Option<SecretDigest> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name)
            .and_then(|(_, value)| Handle::parse(value))
            .map(|handle| handle.digest())
    }

    /// Digest of the cookie that the browser sent, or of a new one with the header that sets it.
    #[must_use]
    pub fn read_or_fresh(
        &self,
        headers: &HeaderMap,
        now: UnixTime,
    ) -> (SecretDigest, Option<HeaderValue>) {
        match self.read(headers) {
            Some(browser) => (browser, None),
            None => self.fresh(now),
        }
    }

    /// A new cookie: its digest, and the header that sets it.
    fn fresh(&self, now: UnixTime) -> (SecretDigest, Option<HeaderValue>) {
        let value = Handle::new(now);
        let header = format!("{}={}{}", self.name, value.clear.expose(), self.attributes);
        (value.digest(), HeaderValue::try_from(header).ok())
    }
}

/// The name of the cookie that binds a sign-in to the browser that approved it.
#[must_use]
pub fn sign_in_cookie_name(https: bool) -> &'static str {
    if https {
        "__Host-anteroom-sign-in"
    } else {
        "anteroom-sign-in"
    }
}

/// Who signed in with a browser last: it makes their next consent page shorter, and opens nothing.
#[derive(Serialize, Deserialize)]
struct Person {
    subject: Subject,
    /// Until when it is of any use, by our own clock.
    until: UnixTime,
}

const BINDING: &str = "binding";
const PERSON: &str = "person";
const VISIT: &str = "visit";
const DONE: &str = "done";

/// How long a browser knows who signed in with it last, however long their consent is remembered. A month: whoever comes by
/// more seldom has forgotten what they agreed to, and a computer that went to somebody else should have forgotten them.
const LONGEST_KNOWN: Duration = Duration::from_secs(30 * 24 * 3600);

/// What binds a sign-in to this browser, made at the first approval. Only the answer to an approval sets the cookie. It keeps
/// its id until somebody has signed in: a new one now would take the row from an approval of another tab that is on its way
/// (CONS-13), to end a copy of the cookie some seconds sooner. `remember` is how long consent is.
///
/// # Errors
/// Where the store fails.
pub async fn bind(
    session: &Session,
    now: UnixTime,
    remember: Duration,
) -> Result<SecretDigest, Failure> {
    let bound = if let Some(bound) = binding(session).await? {
        // said anew, it is a change, and both cookie and row live on
        live_on(session, now, remember).await?;
        bound
    } else {
        let value = Handle::new(now).clear;
        let kept = session.insert(BINDING, value.expose()).await;
        kept.map_err(not_kept)?;
        value.digest()
    };
    // now, while there is still a page to say that it failed: after us it would be an empty one
    session.save().await.map_err(not_kept)?;
    Ok(bound)
}

/// Cookie and row live on: as long as is known who signed in last, where anybody is.
async fn live_on(session: &Session, now: UnixTime, remember: Duration) -> Result<(), Failure> {
    session.set_expiry(match person(session, now).await? {
        Some(_) => expiry(session, remember),
        None => session.expiry(),
    });
    Ok(())
}

/// Remembers who has just signed in with this browser, under a new session id: who planted the old one knows nothing of it
/// (P5, CONS-26). Sign-ins under way in other tabs stay bound; the account page of another person closes.
///
/// # Errors
/// Where the store fails.
pub async fn remember_person(
    session: &Session,
    subject: Subject,
    now: UnixTime,
    remember: Duration,
) -> Result<(), Failure> {
    session.cycle_id().await.map_err(not_kept)?;
    let until = now + remember.min(LONGEST_KNOWN);
    let visit: Option<Visit> = session.get(VISIT).await.map_err(not_read)?;
    if visit.is_some_and(|visit| visit.subject != subject) {
        // whoever sits here now is not to see what is connected for somebody else
        for key in [VISIT, DONE] {
            session.remove_value(key).await.map_err(not_kept)?;
        }
    }
    let person = Person { subject, until };
    session.insert(PERSON, person).await.map_err(not_kept)?;
    session.set_expiry(expiry(session, remember));
    save_at_once(session).await
}

async fn save_at_once(session: &Session) -> Result<(), Failure> {
    if let Err(error) = session.save().await {
        // or it would be tried again after us, and its failure be the answer
        session.clear().await;
        return Err(not_kept(error).into());
    }
    Ok(())
}

/// Opens the account page in this browser, under a new session id: whoever planted the old one gets nowhere with it
/// (CONS-26). `remember` is how long consent is.
///
/// # Errors
/// Where the store fails.
pub async fn open_visit(
    session: &Session,
    visit: Visit,
    now: UnixTime,
    remember: Duration,
) -> Result<(), Failure> {
    session.cycle_id().await.map_err(not_kept)?;
    session.insert(VISIT, visit).await.map_err(not_kept)?;
    // what was said to whoever was here before
    session.remove_value(DONE).await.map_err(not_kept)?;
    live_on(session, now, remember).await?;
    save_at_once(session).await
}

/// Who is signed in on the account page in this browser.
///
/// # Errors
/// Where the store fails.
pub async fn visit(session: &Session, now: UnixTime) -> Result<Option<Visit>, Failure> {
    let visit: Option<Visit> = session.get(VISIT).await.map_err(not_read)?;
    Ok(visit.filter(|visit| now < visit.until))
}

/// Leaves a word for the next account page in this browser.
///
/// # Errors
/// Where the store fails.
pub async fn leave_word(
    session: &Session,
    done: Done,
    now: UnixTime,
    remember: Duration,
) -> Result<(), Failure> {
    session.insert(DONE, done).await.map_err(not_kept)?;
    live_on(session, now, remember).await?;
    Ok(session.save().await.map_err(not_kept)?)
}

/// Takes the word that was left for this page.
///
/// # Errors
/// Where the store fails.
pub async fn take_word(
    session: &Session,
    now: UnixTime,
    remember: Duration,
) -> Result<Option<Done>, Failure> {
    let done: Option<Done> = session.get(DONE).await.map_err(not_read)?;
    if done.is_some() {
        session.remove_value(DONE).await.map_err(not_kept)?;
        live_on(session, now, remember).await?;
        session.save().await.map_err(not_kept)?;
    }
    Ok(done)
}

/// Ends the session of this browser, with everything in it: the header that takes its cookie away. What the layer of the
/// sessions says by itself, browsers do not take for a cookie with `__Host-`, since it does not say `Secure`.
///
/// # Errors
/// Where the store fails.
pub async fn end_session(session: &Session, https: bool) -> Result<HeaderValue, Failure> {
    session.flush().await.map_err(not_kept)?;
    Ok(HeaderValue::from_static(if https {
        "__Host-anteroom-sign-in=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"
    } else {
        "anteroom-sign-in=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    }))
}

/// Who signed in with this browser last.
///
/// # Errors
/// Where the store fails.
pub async fn person(session: &Session, now: UnixTime) -> Result<Option<Subject>, Failure> {
    let person: Option<Person> = session.get(PERSON).await.map_err(not_read)?;
    let person = person.filter(|person| now < person.until);
    Ok(person.map(|person| person.subject))
}

/// As long as the person is known, and never less than a sign-in may take.
fn expiry(session: &Session, remember: Duration) -> Option<Expiry> {
    let known = remember.min(LONGEST_KNOWN).as_secs();
    let known = CookieDuration::seconds(i64::try_from(known).unwrap_or(i64::MAX));
    match session.expiry() {
        Some(Expiry::OnInactivity(sign_in)) => Some(Expiry::OnInactivity(known.max(sign_in))),
        other => other,
    }
}

fn not_kept(error: session::Error) -> StoreError {
    StoreError::because("the browser session cannot be kept", error)
}

fn not_read(error: session::Error) -> StoreError {
    StoreError::because("the browser session cannot be read", error)
}

/// Leaves a cookie whose session is gone to its own end. Taking it away could take away a newer one, which another tab was
/// given while this page was on its way; and a page that only asks sets nothing (CONS-09).
pub async fn take_no_cookie_away(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let takes_away =
        |value: &HeaderValue| value.as_bytes().windows(9).any(|part| part == b"Max-Age=0");
    let kept: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for value in kept.into_iter().filter(|value| !takes_away(value)) {
        headers.append(SET_COOKIE, value);
    }
    response
}

/// What this browser was bound with.
///
/// # Errors
/// Where the store fails.
pub async fn binding(session: &Session) -> Result<Option<SecretDigest>, Failure> {
    let value: Option<Secret> = session.get(BINDING).await.map_err(not_read)?;
    Ok(value.map(|value| value.digest()))
}

/// On to `url`. 303: a form is never sent on (AUTHZ-19).
#[must_use]
pub fn see_other(url: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    no_store(&mut response);
    let headers = response.headers_mut();
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    match HeaderValue::try_from(url) {
        Ok(url) => headers.insert(LOCATION, url),
        // every URL that we make is ASCII
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    response
}

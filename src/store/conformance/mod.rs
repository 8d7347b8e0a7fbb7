//! What every store must do, as tests: a backend calls [`store_conformance!`](crate::store_conformance) and passes.
//!
//! Each rule is a function over an empty store. Races are run as races: many tasks on several threads, one winner.
#![expect(
    clippy::expect_used,
    reason = "these are tests: a store that fails is a failed test"
)]

mod browsers;
mod clients;
mod codes;
mod consents;
mod documents;
mod expiry;
mod grant_ends;
mod grants;
mod keys;
mod lists;
mod requests;
mod sessions;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;

use super::sample::{NOW, code, first_sign_in, id, opening, session};
use super::{Result, Store};
use crate::clock::UnixTime;
use crate::protocol::session::Session;

pub use self::browsers::*;
pub use self::clients::*;
pub use self::codes::*;
pub use self::consents::*;
pub use self::documents::*;
pub use self::expiry::*;
pub use self::grant_ends::*;
pub use self::grants::*;
pub use self::keys::*;
pub use self::lists::*;
pub use self::requests::*;
pub use self::sessions::*;

/// Makes a test of each rule in [`conformance`](crate::store::conformance), where it is called.
///
/// `store_conformance!(MyStore::new())`; or, if the store needs something that must outlive it, such as a directory,
/// `store_conformance!(in tempdir().unwrap() => |directory| MyStore::open(directory.path()).unwrap())`.
#[macro_export]
macro_rules! store_conformance {
    ($store:expr) => {
        $crate::store_conformance!(in () => |()| $store);
    };
    (in $place:expr => |$name:pat_param| $store:expr) => {
        $crate::store_conformance! { @ ($place) ($name) ($store)
            a_client_is_found_until_it_expires
            a_client_is_not_replaced
            keeping_a_client_never_shortens_its_time
            keeping_a_client_never_brings_it_back
            of_many_who_keep_a_client_the_latest_counts
            a_changed_client_is_kept_as_long_as_before
            changing_a_client_never_brings_it_back
            a_client_is_changed_only_from_what_it_is
            of_many_who_change_a_client_one_does
            a_client_that_is_kept_while_it_is_changed_is_both
            a_client_is_forgotten_once
            a_document_replaces_the_one_before
            a_document_is_no_registration
            an_assertion_is_spent_once
            an_expired_assertion_is_spent_once_more
            a_sweep_does_not_free_an_assertion
            a_pushed_request_is_kept_as_it_is
            a_pushed_request_is_for_the_first_browser
            an_expired_pushed_request_is_for_nobody
            of_many_browsers_one_gets_a_pushed_request
            a_pending_sign_in_is_taken_once
            a_code_and_its_session_are_kept_both_or_neither
            a_code_is_spent_once
            a_spent_code_is_found_until_it_expires
            an_expired_code_opens_nothing
            a_code_opens_no_session_that_has_ended
            a_consent_is_kept_with_its_code
            a_consent_is_not_kept_without_its_code
            a_consent_replaces_the_one_before
            of_many_consents_that_of_the_code_is_kept
            a_forgotten_consent_is_gone
            a_refresh_token_is_rotated_once
            a_refresh_token_that_is_not_in_force_changes_nothing
            a_rotation_remembers_the_token_before
            an_expired_session_does_not_rotate
            a_session_is_ended_once
            an_ended_session_is_not_brought_back_by_its_code
            an_ended_session_is_not_brought_back_by_a_rotation
            a_sign_in_is_kept_all_or_nothing
            a_sign_in_joins_the_sessions_of_the_person
            of_many_sign_ins_that_saw_the_same_one_is_let_in
            whoever_looks_again_is_let_in
            an_expired_grant_is_in_nobodys_way
            an_expired_session_does_not_live_on_without_its_grant
            a_person_has_only_so_many_sessions
            the_last_session_takes_the_grant_with_it
            of_many_sessions_that_end_one_was_the_last
            an_expired_session_does_not_count_as_living
            a_grant_without_sessions_is_found_until_it_is_ended
            a_grant_is_ended_once_with_all_its_sessions
            an_ended_grant_leaves_nothing_in_force
            a_changed_grant_keeps_its_sessions
            of_many_who_change_a_grant_one_does
            a_change_and_the_end_of_the_last_session_see_each_other
            a_grant_is_changed_or_ended_or_signed_in_to
            a_sign_in_and_the_end_of_the_last_session_see_each_other
            the_end_of_a_grant_and_those_of_its_sessions_see_each_other
            sessions_are_listed_page_by_page
            grants_are_listed_page_by_page
            clients_and_documents_are_listed_page_by_page
            a_list_goes_on_behind_what_is_gone
            a_document_is_forgotten_once
            the_first_key_of_a_name_is_kept
            a_key_is_changed_only_from_what_it_is
            of_many_who_change_a_key_one_does
            a_browser_session_does_not_replace_another
            a_saved_browser_session_is_never_made_anew
            a_forgotten_browser_session_is_not_saved_back
            what_has_expired_is_never_returned
            what_has_expired_is_deleted
            a_sweep_deletes_no_more_than_it_is_told
            a_sweep_leaves_what_was_made_to_live_longer
            a_sweep_does_not_undo_a_rotation
        }
    };
    (@ ($place:expr) ($name:pat_param) ($store:expr) $($rule:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                let place = $place;
                let $name = &place;
                $crate::store::conformance::$rule(std::sync::Arc::new($store)).await;
            }
        )*
    };
}

/// A store to try.
pub type Tried = Arc<dyn Store>;

const HOUR: Duration = Duration::from_secs(3600);

fn later(hours: u32) -> UnixTime {
    NOW + HOUR * hours
}

/// Whoever is told `expires` is there until a second before.
fn just_before(expires: UnixTime) -> UnixTime {
    UnixTime(expires.0 - 1)
}

fn ok<T>(answer: Result<T>) -> T {
    answer.expect("the store works")
}

/// Lets `callers` call at the same moment, and collects what they get.
async fn race<T, C>(callers: usize, call: impl Fn(usize) -> C) -> Vec<T>
where
    T: Send + 'static,
    C: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(callers));
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let start = Arc::clone(&start);
        let call = call(caller);
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            call.await
        }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("no caller panics"));
    }
    answers
}

/// Puts session `number` in force, with the refresh token `first`.
async fn signed_in(store: &Tried, number: u64, expires: UnixTime) -> Session {
    let (at, of) = (id(number + 1_000_000), id(number));
    ok(store
        .put_code(
            at,
            first_sign_in(code(of, later(1)), session(of, later(1))),
            NOW,
        )
        .await);
    let opened = ok(store.spend_code(at, opening("first", expires), NOW).await);
    opened.expect("a fresh code opens its session")
}

async fn end(store: &Tried, number: u64) -> bool {
    ok(store.end_session(id(number), NOW).await).is_some()
}

//! What people agreed to.

use std::sync::Arc;

use super::{Tried, just_before, later, ok, race};
use crate::clock::UnixTime;
use crate::protocol::consent::{Consent, ConsentKey};
use crate::store::Result;
use crate::store::SignedIn;
use crate::store::sample::{NOW, code, consent, first_sign_in, id, session};

/// Keeps a code and a session of this number, with what a person agreed to.
async fn put(store: &Tried, number: u64, consent: Option<(ConsentKey, Consent)>) -> Result<bool> {
    let (code, session) = (code(id(number), later(1)), session(id(number), later(1)));
    let signed_in = SignedIn {
        consent,
        ..first_sign_in(code, session)
    };
    let kept = store.put_code(id(number), signed_in, NOW).await?;
    Ok(kept.is_some())
}

async fn find(store: &Tried, person: &str, now: UnixTime) -> Option<Consent> {
    let (key, _) = consent(person, now);
    ok(store.find_consent(key, now).await)
}

/// What a person agreed to is kept with the code until it expires, and is nobody else's.
pub async fn a_consent_is_kept_with_its_code(store: Tried) {
    let (key, agreed) = consent("mona", later(3));
    ok(put(&store, 1, Some((key, agreed.clone()))).await);
    ok(put(&store, 2, None).await);
    assert_eq!(find(&store, "mona", NOW).await, Some(agreed.clone()));
    assert_eq!(find(&store, "octavia", NOW).await, None);
    let last = just_before(later(3));
    assert_eq!(find(&store, "mona", last).await, Some(agreed));
    assert_eq!(find(&store, "mona", later(3)).await, None);
}

/// Where code or session is refused, the consent stays what it was: all or nothing.
pub async fn a_consent_is_not_kept_without_its_code(store: Tried) {
    ok(put(&store, 1, Some(consent("mona", later(3)))).await);
    for person in ["mona", "octavia"] {
        assert!(
            put(&store, 1, Some(consent(person, later(9))))
                .await
                .is_err()
        );
        let (key, agreed) = consent(person, later(9));
        // a new code of a session that is there
        let again = store.put_code(
            id(2),
            SignedIn {
                consent: Some((key, agreed)),
                ..first_sign_in(code(id(1), later(1)), session(id(1), later(1)))
            },
            NOW,
        );
        assert!(again.await.is_err());
    }
    assert_eq!(ok(store.find_code(id(2), NOW).await), None);
    let kept = find(&store, "mona", NOW).await.expect("it is kept");
    assert_eq!(kept.expires, later(3));
    assert_eq!(find(&store, "octavia", NOW).await, None);
}

/// A consent takes the place of the one before, for as long as it says itself; a code without one changes nothing.
pub async fn a_consent_replaces_the_one_before(store: Tried) {
    for (number, hours, expires) in [
        (1, Some(3), 3),
        (2, Some(5), 5),
        (3, None, 5),
        (4, Some(2), 2),
    ] {
        let agreed = hours.map(|hours| consent("mona", later(hours)));
        ok(put(&store, number, agreed).await);
        let found = find(&store, "mona", NOW).await.expect("it is kept");
        assert_eq!(found.expires, later(expires), "{number}");
    }
    // one that has expired is replaced as well
    ok(put(&store, 5, Some(consent("mona", later(9)))).await);
    assert!(find(&store, "mona", later(8)).await.is_some());
}

/// Of 16 who put the same code at once with a consent each, one does, and the consent is that one's.
pub async fn of_many_consents_that_of_the_code_is_kept(store: Tried) {
    let kept = race(16, |caller| {
        let store = Arc::clone(&store);
        let hours = 2 + u32::try_from(caller).expect("it is small");
        async move {
            let agreed = consent("mona", later(hours));
            put(&store, 1, Some(agreed)).await.is_ok().then_some(hours)
        }
    });
    let kept: Vec<_> = kept.await.into_iter().flatten().collect();
    let [hours] = kept[..] else {
        panic!("{kept:?} were kept, not one of them");
    };
    let found = find(&store, "mona", NOW).await.expect("it is kept");
    assert_eq!(found.expires, later(hours));
}

/// A consent that was forgotten is gone, whether it was there or not, and others are not.
pub async fn a_forgotten_consent_is_gone(store: Tried) {
    ok(put(&store, 1, Some(consent("mona", later(3)))).await);
    ok(put(&store, 2, Some(consent("octavia", later(3)))).await);
    let (key, _) = consent("mona", NOW);
    for _ in 0..2 {
        ok(store.forget_consent(key).await);
        assert_eq!(find(&store, "mona", NOW).await, None);
    }
    assert!(find(&store, "octavia", NOW).await.is_some());
    // the code that it came with is not touched
    assert!(ok(store.find_code(id(1), NOW).await).is_some());
    ok(put(&store, 3, Some(consent("mona", later(3)))).await);
    assert!(find(&store, "mona", NOW).await.is_some());
}

//! What a page must be before it is read, and how long what was read is kept.

use std::time::Duration;

use bytes::Bytes;

use crate::clock::UnixTime;
use crate::outbound::stranger::Freshness;

/// An answer with status 200.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// `Content-Type`, as it was sent.
    pub(super) content_type: Option<String>,
    /// The body, whole.
    pub(super) body: Bytes,
}

/// How long something is kept, whatever its server says (CLI-16).
#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetimes {
    /// At least: also where it says `no-store`, or we would fetch at every click.
    pub(super) least: Duration,
    /// At most: who changes or withdraws something need not wait longer.
    pub(super) most: Duration,
    /// Where nothing is said.
    pub(super) silent: Duration,
}

/// How old a copy is, how long it is good, and how to ask whether it still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// When it was asked for.
    pub(super) fetched_at: UnixTime,
    /// Until when it need not be asked for again.
    pub(super) fresh_until: UnixTime,
    /// `ETag`
    pub(super) etag: Option<String>,
}

impl Lifetimes {
    /// The stamp of what came back just now.
    pub(super) fn stamp(&self, freshness: &Freshness, now: UnixTime) -> Stamp {
        let lifetime = freshness.lifetime.unwrap_or(self.silent);
        Stamp {
            fetched_at: now,
            fresh_until: now + lifetime.clamp(self.least, self.most),
            etag: freshness.etag.clone(),
        }
    }

    /// Whether what is good until `until` need not be asked for again. No copy is good for longer than any was given:
    /// the clock went back since, and must not keep it for ever.
    pub(super) fn is_fresh(&self, until: UnixTime, now: UnixTime) -> bool {
        now < until && until <= now + self.most
    }
}

impl Page {
    /// The media type (RFC 9110 §8.3.1): `type/subtype` in lower case, without parameters.
    pub(super) fn media_type(&self) -> Option<String> {
        let essence = self.content_type.as_deref()?.split(';').next()?;
        Some(essence.trim_matches([' ', '\t']).to_ascii_lowercase())
    }
}

/// Whether a media type is JSON of some kind: `application/json` or `application/<x>+json` (CLI-08).
pub(super) fn is_json(media_type: &str) -> bool {
    let Some(subtype) = media_type.strip_prefix("application/") else {
        return false;
    };
    let is_word = |text: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        !text.is_empty() && text.bytes().all(fits)
    };
    subtype == "json" || subtype.strip_suffix("+json").is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CLI-08, C5
    #[test]
    fn json_is_told_by_its_media_type() {
        for (content_type, accepted) in [
            (Some("application/json"), true),
            (Some("application/json; charset=utf-8"), true),
            (Some("application/json;charset=\"utf-8"), true),
            (Some("Application/JSON"), true),
            (Some(" application/json\t;"), true),
            (Some("application/oauth-client-id-metadata+json"), true),
            (Some("application/vnd.example.v1+json; x=y"), true),
            (Some("application/a+b+json"), true),
            (None, false),
            (Some(""), false),
            (Some(";application/json"), false),
            (Some("application/"), false),
            (Some("application/+json"), false),
            (Some("application/ +json"), false),
            (Some("application/x+json+xml"), false),
            (Some("application/json, text/html"), false),
            (Some("application/json text/html"), false),
            (Some("application/jsonp"), false),
            (Some("application/\u{e4}+json"), false),
            (Some("text/json"), false),
            (Some("text/html"), false),
            (Some("text/plain"), false),
            (Some("image/svg+json"), false),
        ] {
            let page = Page {
                content_type: content_type.map(str::to_owned),
                body: Bytes::new(),
            };
            let found = page.media_type().is_some_and(|found| is_json(&found));
            assert_eq!(found, accepted, "{content_type:?}");
        }
    }

    const BOUNDS: Lifetimes = Lifetimes {
        least: Duration::from_secs(60),
        most: Duration::from_secs(3600),
        silent: Duration::from_secs(300),
    };

    /// CLI-16
    #[test]
    fn a_server_says_how_long_within_our_bounds() {
        for (said, kept) in [
            (None, 300),
            (Some(0), 60),
            (Some(59), 60),
            (Some(61), 61),
            (Some(3600), 3600),
            (Some(31_536_000), 3600),
            (Some(u64::MAX), 3600),
        ] {
            let freshness = Freshness {
                lifetime: said.map(Duration::from_secs),
                etag: None,
            };
            let stamp = BOUNDS.stamp(&freshness, UnixTime(1000));
            assert_eq!(stamp.fresh_until, UnixTime(1000 + kept), "{said:?}");
            assert_eq!(stamp.fetched_at, UnixTime(1000));
        }
    }

    /// CLI-16
    #[test]
    fn a_copy_is_fresh_up_to_its_moment_and_never_for_longer_than_any_was_given() {
        for (until, fresh) in [
            (i64::MIN, false),
            (999, false),
            (1000, false),
            (1001, true),
            (4600, true),
            (4601, false),
            (i64::MAX, false),
        ] {
            let is_fresh = BOUNDS.is_fresh(UnixTime(until), UnixTime(1000));
            assert_eq!(is_fresh, fresh, "{until}");
        }
    }
}

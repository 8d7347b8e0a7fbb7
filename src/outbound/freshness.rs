//! How long an answer may be kept (RFC 9111 §4.2).
//!
//! What is kept serves everybody who asks, but it was fetched without credentials, so `private` keeps nobody out.
//! `s-maxage` is left alone: publishers mean by it the caches that they can clear, and ours they cannot. `must-revalidate`
//! asks for nothing that is not done anyway: what is stale is never taken for fresh.

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, HeaderName};

use super::stranger::Freshness;

/// What the headers of an answer say about keeping it.
pub(super) fn freshness(headers: &HeaderMap) -> Freshness {
    let etag = text(headers, ETAG).filter(|tag| is_entity_tag(tag));
    Freshness {
        lifetime: lifetime(headers),
        etag: etag.map(str::to_owned),
    }
}

/// Whether `text` is an entity tag (RFC 9110 §8.8.3) in ASCII, of a length that is worth keeping.
pub(super) fn is_entity_tag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let inner = opaque
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    text.len() <= LONGEST_TAG
        && inner.is_some_and(|tag| tag.bytes().all(|b| b.is_ascii_graphic() && b != b'"'))
}

fn lifetime(headers: &HeaderMap) -> Option<Duration> {
    let mut max_age: Option<u64> = None;
    for value in headers.get_all(CACHE_CONTROL) {
        // A value that is not text may have said anything.
        let Ok(value) = value.to_str() else {
            return Some(Duration::ZERO);
        };
        for (name, argument) in directives(value) {
            match name.to_ascii_lowercase().as_str() {
                // with field names too (`no-cache="set-cookie"`): it is allowed to read more into it (§5.2.2.4)
                "no-store" | "no-cache" => return Some(Duration::ZERO),
                "max-age" => {
                    let said = seconds(argument.trim_matches('"'));
                    max_age = max_age.into_iter().chain(said).min();
                }
                _ => {}
            }
        }
    }
    let said = max_age.or_else(|| until_expiry(headers))?;
    let age = text(headers, AGE).and_then(seconds).unwrap_or(0);
    Some(Duration::from_secs(said.saturating_sub(age)))
}

/// `Expires` less `Date` (§4.2.1).
fn until_expiry(headers: &HeaderMap) -> Option<u64> {
    let expires = headers.get(EXPIRES)?;
    // What is no date lies in the past, "especially the value 0" (§5.3).
    let Some(expires) = expires.to_str().ok().and_then(imf_fixdate) else {
        return Some(0);
    };
    let date = text(headers, DATE).and_then(imf_fixdate)?;
    Some(u64::try_from(expires - date).unwrap_or(0).min(LONGEST))
}

/// The first line of a header, where it is text.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// `name` and `name=argument`, between commas that stand outside of quotes; the argument is empty where there is none.
fn directives(value: &str) -> impl Iterator<Item = (&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = value.split(move |c| {
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        c == ',' && !quoted
    });
    parts.map(|part| {
        let (name, argument) = part.split_once('=').unwrap_or((part, ""));
        (name.trim(), argument.trim())
    })
}

/// `delta-seconds`: digits and nothing else, and as many as they like (§1.2.2).
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(LONGEST).min(LONGEST))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7), in seconds since the first of March of the year 0: only differences are
/// of use here. The obsolete forms, which no server sends today, are no dates.
fn imf_fixdate(text: &str) -> Option<i64> {
    let (weekday, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let mut next = || parts.next();
    let (day, month, year) = (number(next()?, 2)?, next()?, number(next()?, 4)?);
    let (time, zone, end) = (next()?, next()?, next());
    let mut parts = time.split(':').map(|part| number(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let month = MONTHS.iter().position(|name| *name == month)?;
    let exact = WEEKDAYS.contains(&weekday) && zone == "GMT" && end.is_none();
    let exists = (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !exact || !exists || parts.next().is_some() {
        return None;
    }
    // Years begin in March, so that the day that comes and goes is the last one; the lengths of months repeat every five.
    let month = i64::try_from(month).ok()?;
    let (year, month) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// A number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let exact = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    exact.then(|| text.parse().ok())?
}

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// As many seconds as a cache must be able to count to (§1.2.2).
const LONGEST: u64 = 1 << 31;

const LONGEST_TAG: usize = 256;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// Headers from lines: `cache-control: no-store`.
    fn headers(lines: &str) -> HeaderMap {
        let lines = lines.split(" | ").filter(|line| !line.is_empty());
        let lines = lines.map(|line| line.split_once(": ").unwrap());
        lines
            .map(|(name, value)| {
                let name = HeaderName::try_from(name).unwrap();
                (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect()
    }

    /// The lifetime in seconds of each of these, as expected.
    fn check(table: &[(&str, Option<u64>)]) {
        for (lines, expected) in table {
            let found = freshness(&headers(lines)).lifetime;
            assert_eq!(found.map(|found| found.as_secs()), *expected, "{lines}");
        }
    }

    /// CLI-16
    #[test]
    fn the_smallest_max_age_counts_and_a_broken_one_says_nothing() {
        check(&[
            ("", None),
            ("cache-control: max-age=60", Some(60)),
            ("cache-control: MAX-AGE=60", Some(60)),
            ("cache-control: public, max-age=60, immutable", Some(60)),
            ("cache-control: public,max-age = 60", Some(60)),
            ("cache-control: max-age=\"60\"", Some(60)),
            ("cache-control: private, max-age=60", Some(60)),
            ("cache-control: max-age=60, must-revalidate", Some(60)),
            ("cache-control: must-revalidate", None),
            ("cache-control: s-maxage=600", None),
            ("cache-control: max-age=60, s-maxage=31536000", Some(60)),
            ("cache-control: x-max-age=60", None),
            ("cache-control: max-age=60, max-age=10", Some(10)),
            (
                "cache-control: max-age=10 | cache-control: max-age=60",
                Some(10),
            ),
            ("cache-control: max-age=60, max-age=x", Some(60)),
            (
                "cache-control: max-age=99999999999999999999999",
                Some(1 << 31),
            ),
            ("cache-control: max-age=4294967296", Some(1 << 31)),
            ("cache-control: x=\"max-age=1, y\", max-age=60", Some(60)),
            ("cache-control: x=\"max-age=60", None),
            ("cache-control: max-age", None),
            ("cache-control: max-age=", None),
            ("cache-control: max-age=-1", None),
            ("cache-control: max-age=+1", None),
            ("cache-control: max-age=1.5", None),
            ("cache-control: max-age=1h", None),
            ("cache-control: ,,=,;", None),
        ]);
    }

    /// CLI-16
    #[test]
    fn what_must_not_be_kept_or_used_unasked_has_no_lifetime() {
        check(&[
            ("cache-control: max-age=0", Some(0)),
            ("cache-control: max-age=0, must-revalidate", Some(0)),
            ("cache-control: no-store", Some(0)),
            ("cache-control: no-cache", Some(0)),
            ("cache-control: No-Store, max-age=60", Some(0)),
            ("cache-control: max-age=60, no-cache", Some(0)),
            (
                "cache-control: max-age=60 | cache-control: no-store",
                Some(0),
            ),
            (
                "cache-control: no-cache=\"set-cookie\", max-age=60",
                Some(0),
            ),
            ("cache-control: é, max-age=60", Some(0)),
            ("cache-control: x=\"no-store, y\", max-age=60", Some(60)),
            ("cache-control: x=\"\\\", no-store\", max-age=60", Some(60)),
            ("pragma: no-cache", None),
        ]);
    }

    /// CLI-16
    #[test]
    fn age_is_taken_off() {
        check(&[
            ("cache-control: max-age=60 | age: 20", Some(40)),
            ("cache-control: max-age=60 | age: 60", Some(0)),
            ("cache-control: max-age=60 | age: 99", Some(0)),
            ("cache-control: max-age=60 | age: -5", Some(60)),
            ("cache-control: max-age=60 | age: ", Some(60)),
            ("age: 20", None),
        ]);
    }

    /// CLI-16
    #[test]
    fn expires_counts_where_there_is_no_max_age() {
        let date = "date: Sun, 06 Nov 1994 08:49:37 GMT | expires: Sun, 06 Nov 1994";
        for (rest, expected) in [
            ("09:49:37 GMT", 3600),
            ("07:49:37 GMT", 0),
            ("09:49:37", 0),
            ("09:49:37 GMT | cache-control: public", 3600),
            ("09:49:37 GMT | cache-control: max-age=x", 3600),
            ("09:49:37 GMT | cache-control: max-age=60", 60),
            ("09:49:37 GMT | cache-control: no-cache", 0),
            ("09:49:37 GMT | age: 600", 3000),
            ("09:49:37 GMT | age: 3601", 0),
        ] {
            check(&[(&format!("{date} {rest}"), Some(expected))]);
        }
        check(&[
            ("expires: 0", Some(0)),
            ("expires: -1", Some(0)),
            ("expires: Sunday, 06-Nov-94 09:49:37 GMT", Some(0)),
            ("expires: Sun, 06 Nov 1994 09:49:37 GMT", None),
            ("expires: Sun, 06 Nov 1994 09:49:37 GMT | date: today", None),
            ("cache-control: max-age=60 | expires: 0", Some(60)),
            ("cache-control: max-age=x | expires: 0", Some(0)),
        ]);
    }

    #[test]
    fn dates_are_as_far_apart_as_in_the_calendar() {
        for (earlier, later, between) in [
            (
                "Thu, 01 Jan 1970 00:00:00",
                "Sun, 06 Nov 1994 08:49:37",
                784_111_777,
            ),
            ("Wed, 28 Feb 2024 23:59:59", "Thu, 29 Feb 2024 00:00:00", 1),
            (
                "Thu, 29 Feb 2024 00:00:00",
                "Fri, 01 Mar 2024 00:00:00",
                86_400,
            ),
            (
                "Sun, 28 Feb 2100 00:00:00",
                "Mon, 01 Mar 2100 00:00:00",
                86_400,
            ),
            (
                "Mon, 28 Feb 2000 00:00:00",
                "Wed, 01 Mar 2000 00:00:00",
                172_800,
            ),
            ("Thu, 31 Dec 2026 23:59:60", "Fri, 01 Jan 2027 00:00:00", 0),
            (
                "Fri, 01 Jan 2027 00:00:00",
                "Sat, 01 Jan 2028 00:00:00",
                31_536_000,
            ),
        ] {
            let second = |text: &str| imf_fixdate(&format!("{text} GMT")).unwrap();
            assert_eq!(
                second(later) - second(earlier),
                between,
                "{earlier}, {later}"
            );
        }
    }

    #[test]
    fn what_is_not_quite_a_date_is_none() {
        for broken in [
            "",
            "0",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nop 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov -994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:01 GMT",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(imf_fixdate(broken), None, "{broken}");
        }
    }

    /// CLI-16
    #[test]
    fn an_entity_tag_is_kept_where_it_is_one() {
        let longest = format!("\"{}\"", "a".repeat(254));
        let longer = format!("\"{}\"", "a".repeat(255));
        for (tag, kept) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"\"", true),
            ("\"a,b=!\\#\"", true),
            (longest.as_str(), true),
            (longer.as_str(), false),
            ("a", false),
            ("\"", false),
            ("w/\"a\"", false),
            ("W/a", false),
            ("\"a b\"", false),
            ("\"a\", \"b\"", false),
            ("*", false),
            ("\"é\"", false),
        ] {
            let found = freshness(&headers(&format!("etag: {tag}"))).etag;
            assert_eq!(found.as_deref(), kept.then_some(tag), "{tag}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_much(
            control in "([a-z-]{0,9}|max-age|no-store|[=,\" \\\\]|[0-9]{0,22}|é){0,12}",
            expires in "(Sun, |[0-9]{0,4}|Nov|Jan|[ :,]|GMT){0,12}",
            age in "[-0-9 ]{0,24}",
        ) {
            let lines = format!("cache-control: {control} | expires: {expires} | date: {expires} | age: {age}");
            let found = freshness(&headers(&lines)).lifetime;
            prop_assert!(found.is_none_or(|found| found.as_secs() <= LONGEST));
        }
    }
}

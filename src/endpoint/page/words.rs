//! What pages say in words: days, spans of time, and the names that strangers gave themselves.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::protocol::plain_name::plain_name;

/// The day of a moment, in UTC: `3 November 2026`. Nothing for moments that no calendar has.
#[must_use]
pub fn day(moment: UnixTime) -> Option<String> {
    let date = moment.utc()?.date();
    Some(format!("{} {} {}", date.day(), date.month(), date.year()))
}

/// A moment to the minute, in UTC: `3 November 2026, 09:05 UTC`. Nothing for moments that no calendar has.
#[must_use]
pub fn moment(moment: UnixTime) -> Option<String> {
    let time = moment.utc()?;
    let day = day(moment)?;
    Some(format!(
        "{day}, {:02}:{:02} UTC",
        time.hour(),
        time.minute()
    ))
}

/// The same for programs (HTML, "Valid date string with time").
#[must_use]
pub fn machine_moment(moment: UnixTime) -> Option<String> {
    let time = moment.utc()?;
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}Z",
        time.hour(),
        time.minute()
    ))
}

/// How long something lasts, in the largest unit that leaves nothing over: `30 days`.
#[must_use]
pub fn how_long(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86400, "day"), (3600, "hour"), (60, "minute")];
    let fits = units
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, name) = fits.unwrap_or((1, "second"));
    match seconds / unit {
        1 => format!("1 {name}"),
        count => format!("{count} {name}s"),
    }
}

/// A name as a heading can bear it: plain, and not too long.
pub(super) fn shown_name(name: &str) -> String {
    let plain = plain(name);
    if plain.is_empty() {
        return "an app without a name".to_owned();
    }
    let ellipsis = (plain.chars().count() > NAME_LENGTH).then_some('…');
    plain.chars().take(NAME_LENGTH).chain(ellipsis).collect()
}

/// A name in one line, without quotation marks that end ours.
pub(super) fn plain(name: &str) -> String {
    let name = plain_name(name, usize::MAX).unwrap_or_default();
    let quotes = |letter| {
        matches!(letter,
            '"' | '«' | '»' | '\u{2ba}' | '\u{2dd}' | '\u{2ee}' | '\u{2f5}'..='\u{2f6}' | '\u{5f4}' | '\u{201c}'..='\u{201f}' | '\u{2033}'..='\u{2034}'
            | '\u{2036}'..='\u{2037}' | '\u{2039}'..='\u{203a}' | '\u{2057}' | '\u{275d}'..='\u{275e}' | '\u{2760}' | '\u{276e}'..='\u{276f}'
            | '\u{2e42}' | '\u{301d}'..='\u{301f}' | '\u{ff02}' | '\u{1f676}'..='\u{1f678}')
    };
    name.replace(quotes, "'")
}

/// Whether a name is longer than a heading can bear.
pub(super) fn is_cut(name: &str) -> bool {
    plain(name).chars().count() > NAME_LENGTH
}

/// Characters of a client's name in a heading.
const NAME_LENGTH: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_dress_up() {
        for (name, shown) in [
            ("Claude", "Claude"),
            (" two\n\twords ", "two words"),
            ("\u{202E}elgoog\u{202C}", "elgoog"),
            ("x” (verified) “", "x' (verified) '"),
            (
                "a❞b❝c‟d＂e〝f〞g″h„i«j»k‹l›m“n”o",
                "a'b'c'd'e'f'g'h'i'j'k'l'm'n'o",
            ),
            ("\u{200B}\u{FEFF}", "an app without a name"),
            ("", "an app without a name"),
        ] {
            assert_eq!(shown_name(name), shown, "{name:?}");
        }
        assert_eq!(
            shown_name(&"W".repeat(200)).chars().count(),
            NAME_LENGTH + 1
        );
    }

    #[test]
    fn days_and_spans_are_said_as_people_say_them() {
        for (moment, said) in [
            (0, Some("1 January 1970")),
            (1_793_750_399, Some("3 November 2026")),
            (1_793_750_400, Some("4 November 2026")),
            (1_835_395_200, Some("29 February 2028")),
            (i64::MAX, None),
        ] {
            assert_eq!(day(UnixTime(moment)).as_deref(), said, "{moment}");
        }
        assert_eq!(moment(UnixTime(i64::MAX)), None);
        for (at, said, machine) in [
            (0, "1 January 1970, 00:00 UTC", "1970-01-01T00:00Z"),
            (
                1_793_696_759,
                "3 November 2026, 09:05 UTC",
                "2026-11-03T09:05Z",
            ),
        ] {
            let at = UnixTime(at);
            assert_eq!(moment(at).as_deref(), Some(said));
            assert_eq!(machine_moment(at).as_deref(), Some(machine));
        }
        for (seconds, said) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (90, "90 seconds"),
            (120, "2 minutes"),
            (3600, "1 hour"),
            (36 * 3600, "36 hours"),
            (30 * 86400, "30 days"),
        ] {
            assert_eq!(how_long(Duration::from_secs(seconds)), said);
        }
    }
}

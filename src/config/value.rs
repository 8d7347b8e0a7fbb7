//! Texts -> values: durations, rates, files, and the words a key may hold.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::Wrong;
use super::{Algorithm, ChildSessions, LogFormat, Rate, StoreKind};
use crate::protocol::method_pattern::MethodPattern;

/// A value with a written form. What is printed reads the same.
pub(super) trait Written: Sized {
    /// Reads the written form.
    fn read(text: &str) -> Result<Self, Wrong>;
    /// Prints it.
    fn print(&self) -> String;
}

impl Written for StoreKind {
    fn read(text: &str) -> Result<Self, Wrong> {
        let remedy = r#"write "sled" (kept in data_dir) or "memory" (gone with the process)"#;
        match text {
            "sled" => Ok(Self::Sled),
            "memory" => Ok(Self::Memory),
            _ if text.contains("://") => Err(Wrong::new(
                "is a URL: a distributed store is not in this version",
                remedy,
            )),
            _ => Err(Wrong::new("is not a store", remedy)),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Sled => "sled",
            Self::Memory => "memory",
        }
        .to_owned()
    }
}

impl Written for Algorithm {
    fn read(text: &str) -> Result<Self, Wrong> {
        match text {
            "ES256" => Ok(Self::Es256),
            "EdDSA" => Ok(Self::EdDsa),
            "RS256" => Ok(Self::Rs256),
            _ => Err(Wrong::new(
                "is not an algorithm that tokens can be signed with",
                r#"write "ES256", "EdDSA" or "RS256""#,
            )),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
        .to_owned()
    }
}

impl Written for LogFormat {
    fn read(text: &str) -> Result<Self, Wrong> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Wrong::new(
                "is not a format of logs",
                r#"write "text" or "json""#,
            )),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
        .to_owned()
    }
}

/// `clients.registration`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegistrationMode {
    Open,
    Token,
    Off,
}

impl Written for RegistrationMode {
    fn read(text: &str) -> Result<Self, Wrong> {
        let remedy = r#"write "open", "token" (with registration_token) or "off""#;
        match text {
            "open" => Ok(Self::Open),
            "off" => Ok(Self::Off),
            "token" => Ok(Self::Token),
            _ => Err(Wrong::new("is not a way to register", remedy)),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::Open => "open",
            Self::Token => "token",
            Self::Off => "off",
        }
        .to_owned()
    }
}

impl Written for ChildSessions {
    fn read(text: &str) -> Result<Self, Wrong> {
        match text {
            "per-user" => Ok(Self::PerUser),
            "shared" => Ok(Self::Shared),
            _ => Err(Wrong::new(
                "does not say who shares a child",
                r#"write "per-user" (one for each person) or "shared" (one for everybody)"#,
            )),
        }
    }

    fn print(&self) -> String {
        match self {
            Self::PerUser => "per-user",
            Self::Shared => "shared",
        }
        .to_owned()
    }
}

impl Written for NonZeroUsize {
    fn read(text: &str) -> Result<Self, Wrong> {
        let read = || Self::new(usize::try_from(count(text)?).ok()?);
        read().ok_or_else(|| Wrong::new("is not a number from 1", "write a number such as 100"))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Written for Duration {
    fn read(text: &str) -> Result<Self, Wrong> {
        let read = || {
            let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
            count(number)?.checked_mul(*seconds).map(Self::from_secs)
        };
        read().ok_or_else(|| {
            Wrong::new(
                "is not a duration",
                r#"write a number and its unit (s, m, h or d), such as "10m", "1h" or "30d""#,
            )
        })
    }

    fn print(&self) -> String {
        let seconds = self.as_secs();
        // A single day reads better as 24h.
        let whole = UNITS.iter().rev().find(|(_, unit)| {
            seconds.is_multiple_of(*unit) && (seconds > *unit || seconds == *unit && *unit <= 3600)
        });
        let (name, unit) = whole.unwrap_or(&UNITS[0]);
        format!("{}{name}", seconds / unit)
    }
}

const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];

impl Written for Rate {
    fn read(text: &str) -> Result<Self, Wrong> {
        let read = || {
            let (number, unit) = text.split_once('/')?;
            let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
            Some(Self {
                count: NonZeroU32::new(u32::try_from(count(number)?).ok()?)?,
                per: Duration::from_secs(*seconds),
            })
        };
        read().ok_or_else(|| {
            Wrong::new(
                "is not a rate",
                r#"write how many in which unit (s, m, h or d), such as "60/m"; at least 1"#,
            )
        })
    }

    fn print(&self) -> String {
        let unit = UNITS
            .iter()
            .find(|(_, seconds)| *seconds == self.per.as_secs());
        format!("{}/{}", self.count, unit.map_or("s", |(name, _)| name))
    }
}

/// Digits and nothing else: `parse` alone would take a plus.
fn count(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

impl Written for MethodPattern {
    fn read(text: &str) -> Result<Self, Wrong> {
        let remedy = r#"write methods of MCP such as "tools/list", with a name where wanted: "tools/call:delete_*""#;
        Self::parse(text).map_err(|what| Wrong::new(format!("holds a method that {what}"), remedy))
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

/// A short text to show to people.
pub(super) fn title(text: &str) -> Result<String, Wrong> {
    let is_fit = !text.trim().is_empty()
        && text.chars().count() <= 100
        && !text.chars().any(char::is_control);
    if is_fit {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        "is not a name that could be shown",
        "write up to 100 characters on one line",
    ))
}

/// A path in the file system.
pub(super) fn path(text: &str) -> Result<PathBuf, Wrong> {
    if text.trim().is_empty() || text.contains('\0') {
        return Err(Wrong::new(
            "is not a path",
            r#"write a folder such as "./data""#,
        ));
    }
    Ok(PathBuf::from(text))
}

/// A file of certificates.
pub(super) fn certificates(text: &str) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(text);
    if file(&path)?.contains("-----BEGIN CERTIFICATE-----") {
        return Ok(path);
    }
    Err(Wrong::new(
        format!("names a file without a certificate: {text}"),
        "write a PEM file: it holds -----BEGIN CERTIFICATE-----",
    ))
}

/// What stands in a file of the operator's.
pub(super) fn file(path: &Path) -> Result<String, Wrong> {
    let shown = path.display();
    let read = || {
        // A device or a pipe would be read for ever.
        let about = std::fs::metadata(path)?;
        if !about.is_file() || about.len() > MAX_FILE {
            return Err(std::io::Error::other(
                "it is not a regular file of at most 1 MiB",
            ));
        }
        std::fs::read_to_string(path)
    };
    match read() {
        Ok(text) if text.trim().is_empty() => Err(Wrong::new(
            format!("names an empty file: {shown}"),
            "write something into the file, or name another",
        )),
        Ok(text) => Ok(text),
        Err(error) => Err(Wrong::new(
            format!("names a file that cannot be read: {shown} ({error})"),
            "write the path of a file that anteroom may read; relative paths begin where it was started",
        )),
    }
}

/// More than any secret or set of certificates has.
pub(super) const MAX_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_carries_its_unit() {
        for (text, seconds) in [
            ("0s", Some(0)),
            ("10s", Some(10)),
            ("10m", Some(600)),
            ("1h", Some(3600)),
            ("30d", Some(2_592_000)),
            ("90m", Some(5400)),
            ("", None),
            ("s", None),
            ("10", None),
            ("10 m", None),
            ("+10m", None),
            ("-1s", None),
            ("1.5h", None),
            ("10ms", None),
            ("1w", None),
            ("1H", None),
            ("10µ", None),
            ("99999999999999999999s", None),
            ("999999999999999999d", None),
        ] {
            let read = Duration::read(text).ok().map(|duration| duration.as_secs());
            assert_eq!(read, seconds, "{text:?}");
        }
    }

    #[test]
    fn a_rate_is_a_count_and_a_unit() {
        for (text, printed) in [
            ("60/m", Some("60/m")),
            ("1/s", Some("1/s")),
            ("100/h", Some("100/h")),
            ("0/m", None),
            ("60", None),
            ("60/", None),
            ("/m", None),
            ("60/min", None),
            ("-1/m", None),
            ("4294967296/m", None),
        ] {
            let read = Rate::read(text).ok().map(|rate| rate.print());
            assert_eq!(read.as_deref(), printed, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_reads_the_same(seconds in 0_u64..10_000_000, count in 1_u32.., unit in 0_usize..4) {
            let duration = Duration::from_secs(seconds);
            proptest::prop_assert_eq!(Duration::read(&duration.print()), Ok(duration));
            let rate = Rate {
                count: NonZeroU32::new(count).unwrap(),
                per: Duration::from_secs(UNITS[unit].1),
            };
            proptest::prop_assert_eq!(Rate::read(&rate.print()), Ok(rate));
        }
    }
}

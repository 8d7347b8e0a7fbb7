//! The storage schema: the key of every record, and its versioned encoding.
//!
//! # Keys
//! One byte for the table, then the name of the row in it:
//!
//! | table | byte | name of a row | holds | expires |
//! | --- | --- | --- | --- | --- |
//! | marker | `00` | `format` | [`Marker`], without a header | never |
//! | clients | `01` | the `client_id` | [`Client`](crate::protocol::client::Client) | unless it is kept |
//! | pending sign-ins | `02` | its `Id` | [`PendingSignIn`](crate::protocol::session::PendingSignIn) | with it |
//! | codes | `03` | its `Id` | [`IssuedCode`](crate::protocol::session::IssuedCode) | with it |
//! | sessions | `04` | its `Id` | [`Session`](crate::protocol::session::Session) | with it |
//! | keys | `05` | its name | [`Sealed`](crate::seal::Sealed) | never |
//! | browser sessions | `06` | SHA-256 of its id | [`BrowserRecord`](super::BrowserRecord) | with it |
//! | documents | `07` | the `client_id` | [`ClientDocument`](crate::protocol::client_metadata::ClientDocument) | unless it is kept |
//! | assertions | `08` | SHA-256 of client and `jti` | nothing | with it |
//! | pushed requests | `09` | its `Id` | [`PushedRequest`](crate::protocol::session::PushedRequest) | with it |
//! | consents | `0a` | its [`ConsentKey`](crate::protocol::consent::ConsentKey) | [`Consent`](crate::protocol::consent::Consent) | with it |
//! | grants | `0b` | its [`GrantKey`](crate::protocol::grant::GrantKey) | [`Grant`](crate::protocol::grant::Grant) | with it |
//! | expiry | `ff` | moment (8 bytes), key of a row | nothing | |
//!
//! An `Id` begins with its time, so that rows made together lie together.
//!
//! # Values
//! A header of 24 bytes ([`Header`]), then the payload: one byte for the version of its encoding, then the record in
//! postcard. Postcard knows fields and variants by their order: a variant may be added at the end of an enum; any
//! other change of a stored type is a new version, and [`decode`] must then read the old one too. Before the first
//! release it was a new [`FORMAT`] instead, and a store of an older one is refused as a whole.
//!
//! # Expiry
//! A row that expires is filed in the expiry table under a moment that is not later than its expiry. A row that is
//! made to live longer stays filed where it is, so that a rotation writes one row and no index; the sweep files it
//! anew when it comes by.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::engine::FOREVER;
use super::{Result, StoreError};
use crate::clock::UnixTime;

/// The version of the schema above. A store of another one is not opened, and its owner is told what to do. Format 2 kept
/// what a provider gave in each session, and had no grants.
pub const FORMAT: u32 = 3;

/// The version of the encoding of a payload.
const ENCODING: u8 = 1;

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// Clients that registered.
    Clients = 1,
    /// Approved requests that wait for the provider.
    Pending = 2,
    /// Authorization codes.
    Codes = 3,
    /// Sessions.
    Sessions = 4,
    /// Keys, sealed.
    Keys = 5,
    /// Browser sessions.
    BrowserSessions = 6,
    /// Client ID metadata documents of clients that somebody signed in with.
    Documents = 7,
    /// Assertions of clients that were used.
    Assertions = 8,
    /// Authorization requests that were pushed.
    Pushed = 9,
    /// What people agreed to.
    Consents = 10,
    /// What people gave us at their providers.
    Grants = 11,
}

impl Table {
    /// The key of the row of this name.
    #[must_use]
    pub fn key(self, name: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + name.len());
        key.push(self as u8);
        key.extend_from_slice(name);
        key
    }
}

/// Whether the row under `key` must be on the disk before anybody is told of it. A sign-in under way need not be: whoever
/// loses it in a crash begins again, and what a crash could bring back of it opens nothing, since the provider takes its
/// own code only once and the row lives for minutes: a pushed request, that its browser had claimed, leads to a page.
pub(super) fn must_outlive_a_crash(key: &[u8]) -> bool {
    let under_way =
        [Table::Pending, Table::BrowserSessions, Table::Pushed].map(|table| table as u8);
    key.first().is_none_or(|table| !under_way.contains(table))
}

/// A record as a payload.
pub fn encode<T: Serialize>(table: Table, record: &T) -> Result<Vec<u8>> {
    let mut payload = Vec::with_capacity(768);
    payload.push(ENCODING);
    postcard::to_extend(record, payload)
        .map_err(|error| StoreError::because(format!("cannot encode a row of {table:?}"), error))
}

/// The record of a payload. What cannot be read is an error, never absent: absent would let a spent code pass for an
/// unknown one.
pub fn decode<T: DeserializeOwned>(table: Table, payload: &[u8]) -> Result<T> {
    let record = match payload.split_first() {
        Some((&ENCODING, record)) => record,
        Some((version, _)) => {
            return Err(StoreError::new(format!(
                "a row of {table:?} has encoding {version}, and this anteroom reads up to {ENCODING}: a newer one \
                 wrote it, so run that one"
            )));
        }
        None => return Err(StoreError::new(format!("a row of {table:?} is empty"))),
    };
    match postcard::take_from_bytes(record) {
        Ok((record, [])) => Ok(record),
        Ok(_) => Err(StoreError::new(format!(
            "a row of {table:?} is longer than its record"
        ))),
        Err(error) => Err(StoreError::because(
            format!("a row of {table:?} is damaged"),
            error,
        )),
    }
}

/// What stands before the payload of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// See [`Row::version`](super::engine::Row::version).
    pub version: u64,
    /// When the row is gone.
    pub expires: UnixTime,
    /// The moment under which it is filed in the expiry table: [`FOREVER`] where it is not.
    pub filed: UnixTime,
}

impl Header {
    /// Bytes in a header.
    pub const LEN: usize = 24;

    /// A whole value: this header and `payload`.
    #[must_use]
    pub fn before(&self, payload: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(Self::LEN + payload.len());
        value.extend_from_slice(&self.version.to_be_bytes());
        value.extend_from_slice(&self.expires.0.to_be_bytes());
        value.extend_from_slice(&self.filed.0.to_be_bytes());
        value.extend_from_slice(payload);
        value
    }

    /// The header and the payload of a value.
    pub fn split(value: &[u8]) -> Result<(Self, &[u8])> {
        let read = || {
            let (version, rest) = value.split_first_chunk()?;
            let (expires, rest) = rest.split_first_chunk()?;
            let (filed, payload) = rest.split_first_chunk()?;
            let header = Self {
                version: u64::from_be_bytes(*version),
                expires: UnixTime(i64::from_be_bytes(*expires)),
                filed: UnixTime(i64::from_be_bytes(*filed)),
            };
            Some((header, payload))
        };
        read().ok_or_else(|| StoreError::new("a row is damaged: it is shorter than its header"))
    }

    /// Where a row is filed that expires at `expires` and may be filed under `before` already.
    #[must_use]
    pub fn file(expires: UnixTime, before: Option<UnixTime>) -> UnixTime {
        match before {
            Some(filed) if filed <= expires && filed != FOREVER && expires != FOREVER => filed,
            _ => expires,
        }
    }
}

const EXPIRY: u8 = 0xff;

/// The key in the expiry table under which the row of `key` is filed at `moment`.
#[must_use]
pub fn expiry_key(moment: UnixTime, key: &[u8]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(9 + key.len());
    entry.push(EXPIRY);
    // The sign bit is turned, so that the order of the bytes is the order of the moments.
    entry.extend_from_slice(&(moment.0 ^ i64::MIN).to_be_bytes());
    entry.extend_from_slice(key);
    entry
}

/// The keys of the expiry table filed at `now` or before.
#[must_use]
pub fn expired_keys(now: UnixTime) -> std::ops::Range<Vec<u8>> {
    let after = UnixTime(now.0.saturating_add(1));
    vec![EXPIRY]..expiry_key(after, &[])
}

/// The key of the row that a key of the expiry table stands for.
#[must_use]
pub fn filed_key(entry: &[u8]) -> &[u8] {
    entry.get(9..).unwrap_or_default()
}

/// The first row of a store: who may open it, and how often it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The version of the schema.
    pub format: u32,
    /// Counts the starts: the upper half of each row's version, so that none comes twice.
    pub starts: u32,
}

impl Marker {
    /// Its key.
    pub const KEY: &[u8] = b"\0format";

    /// What is stored.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        ((u64::from(self.format) << 32) | u64::from(self.starts)).to_be_bytes()
    }

    /// Reads what is stored, and refuses what this program cannot read.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bytes = <[u8; 8]>::try_from(bytes)
            .map_err(|_| StoreError::new("its format marker is damaged"))?;
        let both = u64::from_be_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the halves of a u64")]
        let marker = Self {
            format: (both >> 32) as u32,
            starts: both as u32,
        };
        if marker.format == FORMAT {
            Ok(marker)
        } else {
            let found = marker.format;
            Err(StoreError::new(if found < FORMAT {
                format!(
                    "it has format {found}, of a version before the first release, and this anteroom reads format \
                     {FORMAT}: remove it; clients then register again, and people sign in again"
                )
            } else {
                format!(
                    "it has format {found}, and this anteroom reads format {FORMAT}: run the newer anteroom that wrote \
                     it, or restore a backup made before"
                )
            }))
        }
    }

    /// The last version before those of the present start.
    #[must_use]
    pub fn first_version(self) -> u64 {
        u64::from(self.starts) << 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_as_it_was_written_and_in_no_other_version() {
        let written = encode(Table::Codes, &(7u32, "seven")).unwrap();
        assert_eq!(
            decode::<(u32, String)>(Table::Codes, &written).unwrap(),
            (7, "seven".to_owned())
        );
        let mut newer = written.clone();
        newer[0] = ENCODING + 1;
        let mut longer = written.clone();
        longer.push(0);
        for (payload, said) in [
            (&newer[..], "encoding 2"),
            (&longer, "longer than its record"),
            (&written[..written.len() - 1], "damaged"),
            (&[], "empty"),
        ] {
            let error = decode::<(u32, String)>(Table::Codes, payload).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = Header {
            version: 1 << 40,
            expires: UnixTime(-1),
            filed: FOREVER,
        };
        let value = header.before(b"payload");
        assert_eq!(Header::split(&value).unwrap(), (header, &b"payload"[..]));
        assert!(Header::split(&value[..Header::LEN - 1]).is_err());
    }

    #[test]
    fn a_row_is_filed_no_later_than_it_expires() {
        for (expires, before, filed) in [
            (10, None, 10),
            (10, Some(5), 5),
            (10, Some(10), 10),
            (10, Some(11), 10),
            (10, Some(i64::MAX), 10),
            (i64::MAX, Some(5), i64::MAX),
            (i64::MAX, None, i64::MAX),
        ] {
            let found = Header::file(UnixTime(expires), before.map(UnixTime));
            assert_eq!(found, UnixTime(filed), "{expires} {before:?}");
        }
    }

    #[test]
    fn the_expiry_table_is_in_the_order_of_time() {
        for (moment, now, due) in [
            (-5, -5, true),
            (-5, 0, true),
            (0, -1, false),
            (100, 99, false),
            (100, 100, true),
            (255, 256, true),
            (256, 255, false),
        ] {
            let entry = expiry_key(UnixTime(moment), b"\x04name");
            let found = expired_keys(UnixTime(now)).contains(&entry);
            assert_eq!(found, due, "{moment} at {now}");
            assert_eq!(filed_key(&entry), b"\x04name");
        }
    }

    #[test]
    fn a_marker_of_another_format_is_refused() {
        let marker = Marker {
            format: FORMAT,
            starts: u32::MAX,
        };
        assert_eq!(Marker::from_bytes(&marker.to_bytes()).unwrap(), marker);
        for (format, said) in [(FORMAT + 1, "newer anteroom"), (FORMAT - 1, "remove it")] {
            let other = Marker { format, starts: 0 };
            let error = Marker::from_bytes(&other.to_bytes()).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        assert!(Marker::from_bytes(b"short").is_err());
    }
}

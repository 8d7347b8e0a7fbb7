//! Signed tokens: keys, access tokens made and checked with them (RFC 9068), what clients sign (RFC 7523), and what
//! servers behind are told.

pub mod assertion;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod client_key;
#[cfg(test)]
mod foreign_assertions;
#[cfg(test)]
mod forged_assertions;
pub mod identity;
pub mod kept;
pub mod keys;
pub mod mint;
pub mod pem;
pub mod ring;
pub mod verify;

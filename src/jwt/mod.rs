//! Signed tokens: keys, and access tokens made and checked with them (RFC 9068).

#[cfg(test)]
mod attacks;
pub mod keys;
pub mod mint;
pub mod verify;

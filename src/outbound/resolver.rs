//! Names that strangers chose -> addresses that may be connected to.
//!
//! The resolver is the one way from a name to an address, and its answer is what is connected to: what a second question
//! would be answered (DNS rebinding) is never known.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::public_address::is_public;

/// Whoever knows the addresses of names.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// All addresses of `name`. A name of the public internet comes with the dot at its end that makes it absolute. Port 0 is
    /// the usual one.
    ///
    /// # Errors
    /// Where it has none, or nobody can tell.
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the machine.
pub struct SystemLookup {
    free: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self {
            free: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)),
        }
    }
}

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        // Asking cannot be broken off. The permit stays with the thread that asks, however early the caller gives up: names that
        // answer slowly on purpose must not take every thread that the store needs too.
        let free = Arc::clone(&self.free);
        let permit = free.acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let asking = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), 0).to_socket_addrs().map(Vec::from_iter);
            drop(permit);
            found
        });
        asking.await.map_err(io::Error::other)?
    }
}

/// Where a connection may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// To addresses of the public internet.
    Public,
    /// To any address: the operator named the host.
    Any,
}

/// A name's addresses, if all of them are within reach.
pub(super) struct Resolver {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) reach: Reach,
}

/// Why a name leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameFault {
    #[error("the name does not resolve")]
    Unknown,
    #[error("an address of the name is not public")]
    NotPublic,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, reach) = (Arc::clone(&self.lookup), self.reach);
        Box::pin(async move {
            let name = match reach {
                // absolute: the search list of this machine must not complete it to a name of the house
                Reach::Public => format!("{}.", name.as_str()),
                Reach::Any => name.as_str().to_owned(),
            };
            let found = lookup.addresses(&name).await;
            let found = found.map_err(|_| NameFault::Unknown)?;
            // All or none: of a mixed answer, whoever sent it would choose the moment when the public address is down.
            if reach == Reach::Public && !found.iter().all(|address| is_public(address.ip())) {
                return Err(NameFault::NotPublic.into());
            }
            if found.is_empty() {
                return Err(NameFault::Unknown.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

const LOOKUPS_AT_ONCE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn this_machine_is_known_and_an_invalid_name_is_not() {
        let lookup = SystemLookup::default();
        let found = lookup.addresses("localhost").await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert!(!found.is_empty());
        lookup.addresses("nobody.invalid.").await.unwrap_err();
    }

    #[tokio::test]
    async fn whoever_has_given_up_waits_no_longer_for_a_lookup() {
        let lookup = SystemLookup::default();
        let taken = lookup.free.acquire_many(32).await.unwrap();
        let mut waiting = Box::pin(lookup.addresses("localhost"));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        drop(taken);
        lookup.addresses("localhost").await.unwrap();
        assert_eq!(lookup.free.available_permits(), LOOKUPS_AT_ONCE);
    }
}

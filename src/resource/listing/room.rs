//! The memory that one gate has for lists while they are filtered.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for bytes, shared by all answers that are being filtered at once.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

/// Some of it; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(OwnedSemaphorePermit);

/// Bytes that one answer may have without asking for room: most are shorter by far.
pub(super) const FREE: usize = 256 << 10;

/// Bytes that there is room for.
const ALL: usize = 64 << 20;

/// What is counted, in bytes.
const UNIT: usize = 1 << 10;

impl Room {
    /// All of it is free.
    pub(in crate::resource) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ALL / UNIT)))
    }

    /// Room for so many bytes, once there is. Whoever waits holds none: nobody waits for one another.
    pub(super) async fn wait_for(&self, bytes: usize) -> Option<Place> {
        let room = Arc::clone(&self.0);
        let place = room.acquire_many_owned(units(bytes)).await;
        place.ok().map(Place)
    }

    /// Makes `place` one for so many bytes, if there is room.
    pub(super) fn widen(&self, place: &mut Option<Place>, bytes: usize) -> bool {
        let had = place.as_ref().map_or(0, |Place(place)| place.num_permits());
        let lacking = (units(bytes) as usize).saturating_sub(had);
        let lacking = u32::try_from(lacking).unwrap_or(u32::MAX);
        if lacking == 0 {
            return true;
        }
        let Ok(more) = Arc::clone(&self.0).try_acquire_many_owned(lacking) else {
            return false;
        };
        match place {
            Some(Place(place)) => place.merge(more),
            None => *place = Some(Place(more)),
        }
        true
    }
}

/// More than there is can never be had.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.min(ALL).div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_room_for_so_much_at_once() {
        let room = Room::new();
        let mut place = None;
        assert!(room.widen(&mut place, 1) && room.widen(&mut place, ALL / 2));
        let other = room.wait_for(ALL / 2).await;
        assert!(!room.widen(&mut place, ALL / 2 + 1));
        assert!(room.widen(&mut place, ALL / 2), "it keeps what it has");
        drop(other);
        assert!(room.widen(&mut place, ALL));
        drop(place);
        assert!(room.wait_for(usize::MAX).await.is_some());
    }
}

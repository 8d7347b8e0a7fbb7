//! Orders about keys.

use super::KeyKind;
use super::answer::Stop;
use super::serve::Listener;
use crate::flow::Flows;

/// Tells every key.
pub(super) async fn list(_flows: &Flows, _listener: &mut Listener) -> Result<String, Stop> {
    Err(Stop::Refused("not yet".to_owned()))
}

/// Puts a new key in the place of the one in use.
pub(super) async fn rotate(_flows: &Flows, _kind: KeyKind) -> Result<String, Stop> {
    Err(Stop::Refused("not yet".to_owned()))
}

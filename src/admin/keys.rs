//! Orders about keys.

use super::answer::{Stop, counted, incident};
use super::serve::Listener;
use super::{KeyKind, KeyLine, Line};
use crate::flow::Flows;
use crate::flow::keys::{self, KnownKey};

/// Tells every key that is accepted.
pub(super) async fn list(flows: &Flows, listener: &mut Listener) -> Result<String, Stop> {
    let keys = flows.list_keys().await.map_err(incident)?;
    let said = counted(keys.len(), "key");
    for key in keys {
        listener.tell(&Line::Key(key_line(key))).await?;
    }
    Ok(said)
}

/// Puts a new key in the place of the one in use, and tells it.
pub(super) async fn rotate(
    flows: &Flows,
    kind: KeyKind,
    listener: &mut Listener,
) -> Result<String, Stop> {
    let (key, said) = match kind {
        KeyKind::Signing => (
            flows.rotate_signing_key().await.map_err(incident)?,
            "the new key is published now, and signs when everybody can have fetched it; nobody is signed out",
        ),
        KeyKind::Sealing => (
            flows.rotate_sealing_key().await.map_err(incident)?,
            "the new key seals from now on; what older ones sealed is sealed anew, and then they are dropped",
        ),
    };
    listener.tell(&Line::Key(key_line(key))).await?;
    Ok(said.to_owned())
}

fn key_line(key: KnownKey) -> KeyLine {
    KeyLine {
        kind: match key.kind {
            keys::KeyKind::Signing => KeyKind::Signing,
            keys::KeyKind::Sealing => KeyKind::Sealing,
        },
        id: key.id,
        state: key.state.name().to_owned(),
        algorithm: key.algorithm.to_owned(),
        made: key.made.map(|at| at.0),
        until: key.until.map(|at| at.0),
    }
}

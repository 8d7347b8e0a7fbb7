//! Somebody who needs a child, and what it must have been told.

use std::sync::Arc;

use crate::protocol::identity::Identity;
use crate::protocol::ids::Subject;
use crate::protocol::principal::Standing;
use crate::secret::SecretDigest;

/// Who has a child.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Everybody,
    Person(Subject),
}

impl Who {
    /// The person, if it is one.
    pub(super) fn subject(&self) -> Option<&str> {
        match self {
            Self::Everybody => None,
            Self::Person(subject) => Some(subject.as_str()),
        }
    }
}

/// Somebody who needs one.
pub(super) struct Asker {
    pub(super) who: Who,
    /// The session that it is for; none where the child is everybody's.
    pub(super) standing: Option<Arc<Standing>>,
    /// What the child must have been told.
    pub(super) told: Told,
    /// When they began to ask, of all: what they know may be as old as that.
    pub(super) turn: u64,
}

/// What a child was told of its person when it was started.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) token: Option<SecretDigest>,
    pub(super) identity: Option<Identity>,
}

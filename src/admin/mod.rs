//! What an operator asks of a running server, and does to it: orders over a socket in `data_dir` that its owner alone can
//! open.
//!
//! A connection carries one order, a line of JSON; and the answer, a line of JSON for each thing told, of which the last
//! says how it ended. There is no other protection than the mode of the socket and of its directory, and none is needed:
//! who can open them can read the store and its keys as well.

mod answer;
mod ask;
mod keys;
mod serve;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::ask::ask;
pub use self::serve::Socket;

/// The name of the socket in `data_dir`.
pub const SOCKET: &str = "admin.sock";

/// What an operator wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Order {
    /// Every session that a choice is true of.
    ListSessions(Choice),
    /// The end of every session that a choice is true of.
    RevokeSessions(Choice),
    /// Every client that is kept.
    ListClients,
    /// One client, whole.
    ShowClient {
        /// `client_id`
        id: String,
    },
    /// A client forgotten, with its sessions.
    RemoveClient {
        /// `client_id`
        id: String,
    },
    /// Every key.
    ListKeys,
    /// A new key in the place of the one in use.
    RotateKey {
        /// Which.
        kind: KeyKind,
    },
}

/// Some of the sessions: those that everything given here is true of. What a program of another version knows more of is
/// refused: to overlook it would be to choose more sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The session of this id.
    pub session: Option<String>,
    /// Those of this person: `github:583231`.
    pub person: Option<String>,
    /// Those of this client.
    pub client: Option<String>,
    /// Every one, and nothing else is given. To list them it need not be said.
    #[serde(default)]
    pub all: bool,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// It signs access tokens.
    Signing,
    /// It seals what is kept.
    Sealing,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Line {
    /// A session.
    Session(SessionLine),
    /// A client, in short.
    Client(ClientLine),
    /// A client, whole: what is kept of it but for its secrets.
    ClientWhole(ClientWhole),
    /// A key.
    Key(KeyLine),
    /// It is done; the sentence says what came of it.
    Done {
        /// The sentence.
        said: String,
    },
    /// It is not done.
    Failed {
        /// Why, and what to do.
        said: String,
    },
}

/// A session as it is told. Moments are seconds since 1970-01-01 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLine {
    /// `sid`
    pub id: String,
    /// Who signed in.
    pub person: String,
    /// The name of their account when the provider was last asked.
    pub login: Option<String>,
    /// `client_id`
    pub client: String,
    /// What the client calls itself.
    pub client_name: Option<String>,
    /// For which resource.
    pub resource: String,
    /// What was granted.
    pub scopes: String,
    /// When the person signed in.
    pub created: i64,
    /// When the client last came for tokens.
    pub used: i64,
    /// When the provider last vouched for the person.
    pub checked: Option<i64>,
    /// When it ends unless it is used.
    pub expires: i64,
}

/// A client, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientLine {
    /// `client_id`
    pub id: String,
    /// What it calls itself.
    pub name: Option<String>,
    /// `registered`, `document` or `known`.
    pub source: String,
    /// When it is forgotten unless it is used; none: never.
    pub expires: Option<i64>,
}

/// A client, whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientWhole {
    /// In short.
    #[serde(flatten)]
    pub short: ClientLine,
    /// Where answers may go.
    pub redirect_uris: Vec<String>,
    /// How it proves itself: `none`, `secret` or `private_key_jwt`.
    pub authentication: String,
    /// The scopes that it may be given at most; none: every one.
    pub scopes: Option<String>,
    /// How many sessions are in force.
    pub sessions: usize,
}

/// A key as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLine {
    /// What it is for.
    pub kind: KeyKind,
    /// `kid`, or the identifier that stands in what it sealed.
    pub id: String,
    /// What it does now, in a word.
    pub state: String,
    /// Its algorithm.
    pub algorithm: String,
    /// When it was made, where that is known.
    pub made: Option<i64>,
    /// Until when it is kept, where that is decided.
    pub until: Option<i64>,
}

/// Why there is no socket, or no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// Nobody answers.
    #[error(
        "no anteroom runs with {}: start it with `anteroom serve`, or name its configuration with --config or its data_dir \
         with --data-dir; where it does run, its log says why nobody can speak to it there",
        .0.display()
    )]
    NotRunning(PathBuf),
    /// The socket belongs to somebody else.
    #[error("{} may be opened by its owner alone: run this as the user that anteroom runs as", .0.display())]
    NotAllowed(PathBuf),
    /// Another process serves the socket.
    #[error("another anteroom serves {}: give each a data_dir of its own", .0.display())]
    Taken(PathBuf),
    /// The socket cannot be made.
    #[error("{} cannot be made: {source}; choose a data_dir on a local disk, with a short path", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The socket cannot be reached.
    #[error("{} cannot be connected to: {source}", path.display())]
    Connect {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection to the server broke off: {0}")]
    Broken(#[from] std::io::Error),
    /// What arrived is not of this version.
    #[error("the server that runs is of another version than this program: {0}")]
    OtherVersion(serde_json::Error),
    /// The server said no.
    #[error("{0}")]
    Failed(String),
}

//! The use cases: each endpoint's work as a method of [`Flows`], with no HTTP in it.

pub mod account;
pub mod authenticate;
pub mod authorize;
pub mod callback;
pub mod client;
pub mod code;
pub mod consent;
pub mod departure;
mod grant;
pub mod introspect;
pub mod keys;
pub mod live;
pub mod logo;
pub mod operate;
pub mod par;
pub mod refresh;
pub mod register;
pub mod registration;
pub mod revoke;
pub mod sweep;
pub mod token;
pub mod vouching;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, UnixTime};
pub use crate::document::DocumentError;
use crate::document::Documents;
use crate::event::Event;
use crate::jwt::keys::KeyError;
use crate::jwt::ring::KeyRing;
use crate::protocol::authorize::Offered;
use crate::protocol::client::Client;
use crate::protocol::error::OAuthError;
use crate::protocol::ids::{Id, ProviderId};
use crate::protocol::issuer::Issuer;
use crate::protocol::resource_indicator::Resources;
use crate::protocol::scope::ScopeSet;
use crate::seal::{Marks, SealError, Sealer};
use crate::secret::SecretDigest;
use crate::store::Store;
pub use crate::store::StoreError;
use crate::upstream::{Upstream, UpstreamError};

use keys::KeySources;
use live::LiveSessions;
use vouching::Vouching;

/// What the flows need. Put together once, in `app/parts.rs`.
pub struct Flows {
    /// What outlives a request.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Keys for what must not lie about in clear.
    pub sealer: Arc<Sealer>,
    /// What shows that something was made by us.
    pub marks: Marks,
    /// Keys that sign access tokens.
    pub keys: Arc<KeyRing>,
    /// Where keys come from.
    pub key_sources: KeySources,
    /// The providers, in the order in which they are offered.
    pub upstreams: Vec<Arc<dyn Upstream>>,
    /// The issuer.
    pub issuer: Issuer,
    /// The MCP servers, each with its scopes.
    pub resources: Resources,
    /// Scopes that are not for everybody.
    pub reserved: ScopeSet,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// The sessions that somebody is using.
    pub live: Arc<LiveSessions>,
    /// Whether the providers still vouch for those who signed in.
    pub vouching: Arc<Vouching>,
    /// Which clients may come, and how.
    pub admission: Admission,
}

/// Which clients may come, and how.
pub struct Admission {
    /// Clients of the configuration.
    pub known: Vec<Client>,
    /// What clients publish about themselves.
    pub documents: Documents,
    /// Whether a client id may be the URL of a metadata document.
    pub metadata_documents: bool,
    /// Hosts of client ids that are URLs; empty: any.
    pub document_hosts: Vec<String>,
    /// How clients register.
    pub registration: Registration,
    /// Hosts of redirect URIs that are https; empty: any.
    pub redirect_hosts: Vec<String>,
}

impl Admission {
    /// Whether clients can register at all.
    #[must_use]
    pub fn registers(&self) -> bool {
        !matches!(self.registration, Registration::Off)
    }
}

/// `clients.registration`
#[derive(Clone, Debug)]
pub enum Registration {
    /// Anybody may.
    Open,
    /// Whoever has the initial access token may (RFC 7591 §3).
    Token(SecretDigest),
    /// Nobody may.
    Off,
}

/// How long things live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// An authorization code.
    pub code: Duration,
    /// An access token.
    pub access: Duration,
    /// A session that nobody uses.
    pub idle: Duration,
    /// A session, at most.
    pub session: Duration,
    /// How long a used refresh token gets its answer again.
    pub reuse_grace: Duration,
    /// A registration that nobody ever signed in with.
    pub unused_client: Duration,
    /// What a person agreed to; zero: they are asked each time.
    pub consent: Duration,
    /// The word of a provider that it vouches for somebody.
    pub upstream_check: Duration,
    /// The same beyond that, while the provider cannot be asked.
    pub upstream_grace: Duration,
}

/// How long a client is remembered after it was last used, and at least as long as its sessions can live unused.
const IDLE_CLIENT: Duration = Duration::from_secs(365 * 24 * 3600);

impl Flows {
    fn now(&self) -> UnixTime {
        self.clock.now()
    }

    fn upstream(&self, id: &ProviderId) -> Option<&Arc<dyn Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.id() == id)
    }

    fn offered(&self) -> Offered<'_> {
        Offered {
            issuer: self.issuer.as_str(),
            resources: &self.resources,
            redirect_hosts: &self.admission.redirect_hosts,
        }
    }

    /// Ends a session for everybody: in the store first, then for those who have seen it in force. With the last one of a
    /// person, what they gave us is given back. A task of its own: a client that hangs up meanwhile must not keep the end
    /// from them.
    async fn end_session(&self, session: Id, why: &'static str) -> Result<(), Failure> {
        let (store, live, now) = (Arc::clone(&self.store), Arc::clone(&self.live), self.now());
        let vouching = Arc::clone(&self.vouching);
        let ending = async move {
            let ended = store.end_session(session, now).await;
            live.end(session);
            if let Some(ended) = ended? {
                Event::SessionEnded { session, why }.tell();
                if let Some(grant) = &ended.grant {
                    vouching.give_back(grant);
                }
            }
            Ok(())
        };
        to_the_end("the end of a session broke off", ending).await
    }
}

/// Does something in a task of its own: whoever waits for it may hang up, and it is done all the same.
async fn to_the_end<T: Send + 'static>(
    broke_off: &'static str,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::spawn(work).await;
    done.map_err(|error| StoreError::because(broke_off, error))?
}

/// Why a flow stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// An answer: somebody asked for what they may not have.
    #[error(transparent)]
    Refused(#[from] OAuthError),
    /// An answer for the client that somebody has signed in for: nothing of what it asked for is open to them.
    #[error(transparent)]
    Denied(OAuthError),
    /// The document of a client cannot be had: never the same as a client that is unknown.
    #[error("{cause}")]
    Document {
        /// The host at which it should be.
        host: String,
        /// Why it is not to be had.
        #[source]
        cause: DocumentError,
    },
    /// Whether the provider still vouches cannot be found out now: the client is to come again.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// An incident: the store failed. It is never answered in a way that makes a client throw its tokens away.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An incident: a token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An incident: a sealed value could not be read.
    #[error(transparent)]
    Seal(#[from] SealError),
}

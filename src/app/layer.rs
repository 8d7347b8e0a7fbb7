//! The gate alone, to stand before services of a program's own.

use std::convert::Infallible;

use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;

use super::servers::end_streams;
use crate::endpoint::error;
use crate::endpoint::unread::read_or_say;
use crate::resource::layer::BearerLayer;

/// The gate of a server ([`super::App::layer`]): a [`BearerLayer`] with what stands around every route of ours. A panic is
/// answered, a refusal says so where it leaves a request unread, and streams that only listen end with [`super::App::stop`].
#[derive(Clone)]
pub struct GateLayer {
    pub(super) gate: BearerLayer,
    pub(super) stopped: watch::Receiver<bool>,
}

impl<S> Layer<S> for GateLayer
where
    S: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Service = BoxCloneSyncService<Request, Response, Infallible>;

    fn layer(&self, inner: S) -> Self::Service {
        let guarded = ServiceBuilder::new()
            .layer(from_fn(read_or_say))
            .layer(CatchPanicLayer::custom(error::panicked))
            .layer(from_fn_with_state(self.stopped.clone(), end_streams))
            .service(self.gate.layer(inner));
        BoxCloneSyncService::new(guarded)
    }
}

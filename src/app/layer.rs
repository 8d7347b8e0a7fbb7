//! The gate alone, to stand before services of a program's own.

use std::convert::Infallible;

use axum::extract::Request;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder};
use tower_http::catch_panic::CatchPanicLayer;

use crate::endpoint::error;
use crate::endpoint::unread::read_or_say;
use crate::resource::layer::BearerLayer;

/// The gate of a server ([`super::App::layer`]): a [`BearerLayer`] with what stands around every route of ours. A panic is
/// answered, and a refusal says so where it leaves a request unread.
#[derive(Clone)]
pub struct GateLayer(pub(super) BearerLayer);

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
            .service(self.0.layer(inner));
        BoxCloneSyncService::new(guarded)
    }
}

//! Clients that listen: each as its own revision has it, whatever the child speaks.

#![expect(
    deprecated,
    reason = "resources/subscribe is gone in 2026-07-28; older children use it"
)]

use rmcp::model::{
    ClientRequest, ErrorData, GetExtensions as _, GetMeta as _, NotificationMetaObject,
    ServerNotification, SubscribeRequest, SubscribeRequestParams, SubscriptionFilter,
    UnsubscribeRequest, UnsubscribeRequestParams,
};
use rmcp::service::{
    Peer, RoleClient, RoleServer, Subscription, SubscriptionContext, SubscriptionSendError,
};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::call::{Asked, told};
use super::hub::{Ear, Hears};

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells a client what its session hears, until nothing is heard any more.
pub(super) fn tell(
    mut heard: mpsc::Receiver<ServerNotification>,
    client: Peer<RoleServer>,
) -> Task {
    let telling = tokio::spawn(async move {
        while let Some(said) = heard.recv().await {
            if client.send_notification(said).await.is_err() {
                return;
            }
        }
    });
    Task(telling.abort_handle())
}

/// Tells the session of an older client what a child of 2026-07-28 says on a subscription.
pub(super) fn relay(subscription: Subscription, client: Peer<RoleServer>) -> Task {
    Task(tokio::spawn(tell_all(subscription, client)).abort_handle())
}

/// The same for what changes at the child, where it tells of that.
pub(super) fn relay_changes(child: Peer<RoleClient>, client: Peer<RoleServer>) -> Option<Task> {
    let everything = SubscriptionFilter::builder()
        .tools_list_changed()
        .prompts_list_changed()
        .resources_list_changed()
        .build();
    let wanted = everything.supported_by(&child.peer_info()?.capabilities);
    if wanted == SubscriptionFilter::default() {
        return None;
    }
    let telling = tokio::spawn(async move {
        if let Ok(subscription) = child.listen(wanted).await {
            tell_all(subscription, client).await;
        }
    });
    Some(Task(telling.abort_handle()))
}

async fn tell_all(mut subscription: Subscription, client: Peer<RoleServer>) {
    while let Ok(Some(mut said)) = subscription.next().await {
        let meta = said.get_meta_mut();
        meta.remove("io.modelcontextprotocol/subscriptionId");
        if meta.is_empty() {
            said.extensions_mut().remove::<NotificationMetaObject>();
        }
        if client.send_notification(said).await.is_err() {
            return;
        }
    }
}

/// `subscriptions/listen` of a client of 2026-07-28, until it hangs up or the child ends.
pub(super) async fn listen(context: &SubscriptionContext, asked: &Asked) -> Result<(), ErrorData> {
    if asked.is_child_modern() {
        let subscription = asked.child().listen(context.accepted().clone());
        let mut subscription = subscription.await.map_err(told)?;
        loop {
            let said = tokio::select! {
                () = context.cancelled() => return Ok(()),
                said = subscription.next() => said.map_err(told)?,
            };
            let Some(said) = said else { return Ok(()) };
            if !passes(context, said).await {
                return Ok(());
            }
        }
    }
    let (ear, heard) = asked.lease.hub.listen(Hears::Changes);
    let uris = context.accepted().resource_subscriptions.iter().flatten();
    let mut listened = Ok(());
    for uri in uris {
        listened = listened.and(subscribe(asked.child(), &ear, uri).await);
    }
    if listened.is_ok() {
        hear(context, asked, heard).await;
    }
    forget(asked.child().clone(), ear.unsubscribe_all());
    listened
}

async fn hear(
    context: &SubscriptionContext,
    asked: &Asked,
    mut heard: mpsc::Receiver<ServerNotification>,
) {
    loop {
        let said = tokio::select! {
            () = context.cancelled() => return,
            () = asked.lease.hub.ended() => return,
            Some(said) = heard.recv() => said,
        };
        if !passes(context, said).await {
            return;
        }
    }
}

/// Whether the client still listens; what it has not asked for is not told.
async fn passes(context: &SubscriptionContext, said: ServerNotification) -> bool {
    let told = tokio::select! {
        () = context.cancelled() => return false,
        told = context.sink().send(said) => told,
    };
    !matches!(
        told,
        Err(SubscriptionSendError::SubscriptionClosed | SubscriptionSendError::Service(_))
    )
}

/// Subscribes at a child of the older revisions, where nobody else has.
async fn subscribe(child: &Peer<RoleClient>, ear: &Ear, uri: &str) -> Result<(), ErrorData> {
    if !ear.subscribe(uri) {
        return Ok(());
    }
    let request = SubscribeRequest::new(SubscribeRequestParams::new(uri));
    let request = ClientRequest::SubscribeRequest(request);
    child.send_request(request).await.map_err(told)?;
    Ok(())
}

/// Subscribes anew at a fresh child, for a session that has subscriptions.
pub(super) fn renew(child: Peer<RoleClient>, uris: Vec<String>) {
    tokio::spawn(async move {
        for uri in uris {
            let request = SubscribeRequest::new(SubscribeRequestParams::new(uri));
            let request = ClientRequest::SubscribeRequest(request);
            if child.send_request(request).await.is_err() {
                tracing::debug!("a subscription could not be renewed");
            }
        }
    });
}

/// Takes subscriptions back that nobody has any more.
pub(super) fn forget(child: Peer<RoleClient>, uris: Vec<String>) {
    if uris.is_empty() || child.is_transport_closed() {
        return;
    }
    // where the runtime is gone, so is the child
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        for uri in uris {
            let request = UnsubscribeRequest::new(UnsubscribeRequestParams::new(uri));
            let request = ClientRequest::UnsubscribeRequest(request);
            let _ = child.send_request(request).await;
        }
    });
}

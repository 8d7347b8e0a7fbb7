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
use super::hub::{Ear, Hears, Hub};

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Task {
    pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

/// Tells a client what its session hears, until nothing is heard any more.
pub(super) fn tell(
    mut heard: mpsc::Receiver<ServerNotification>,
    client: Peer<RoleServer>,
) -> Task {
    Task::spawn(async move {
        while let Some(said) = heard.recv().await {
            if client.send_notification(said).await.is_err() {
                return;
            }
        }
    })
}

/// Tells the session of an older client what a child of 2026-07-28 says on a subscription.
pub(super) fn relay(subscription: Subscription, client: Peer<RoleServer>) -> Task {
    Task::spawn(tell_all(subscription, client))
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
    Some(Task::spawn(async move {
        if let Ok(subscription) = child.listen(wanted).await {
            tell_all(subscription, client).await;
        }
    }))
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
        let subscription = asked.besides(context.cancelled(), subscription).await?;
        let mut subscription = subscription.map_err(told)?;
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
        let subscribed = asked.besides(context.cancelled(), subscribe(asked, &ear, uri));
        listened = subscribed.await.and_then(|subscribed| subscribed);
        if listened.is_err() {
            break;
        }
    }
    if listened.is_ok() {
        hear(context, asked, heard).await;
    }
    let hub = asked.lease.hub.clone();
    forget(hub, asked.child().clone(), ear.unsubscribe_all());
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
async fn subscribe(asked: &Asked, ear: &Ear, uri: &str) -> Result<(), ErrorData> {
    let _turn = asked.lease.hub.turns().take(uri).await;
    if !ear.subscribe(uri) {
        return Ok(());
    }
    let request = SubscribeRequest::new(SubscribeRequestParams::new(uri));
    let request = ClientRequest::SubscribeRequest(request);
    let answer = asked.child().send_request(request).await;
    answer.map(|_| ()).map_err(|error| {
        ear.unsubscribe(uri);
        told(error)
    })
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
pub(super) fn forget(hub: Hub, child: Peer<RoleClient>, uris: Vec<String>) {
    if uris.is_empty() || child.is_transport_closed() {
        return;
    }
    // where the runtime is gone, so is the child
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        for uri in uris {
            let _turn = hub.turns().take(&uri).await;
            // somebody may have come meanwhile
            if hub.is_subscribed(&uri) {
                continue;
            }
            let request = UnsubscribeRequest::new(UnsubscribeRequestParams::new(uri));
            let request = ClientRequest::UnsubscribeRequest(request);
            let _ = child.send_request(request).await;
        }
    });
}

//! The wire to a child, with an ear at it: what the child says of itself reaches the hub in its order, before the answer
//! that follows.

use std::future::Future;

use rmcp::model::JsonRpcMessage;
use rmcp::service::{RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;

use super::hub::Hub;

/// A transport to a child whose notifications go to its hub. The library would start a task for each of them: as many as
/// the child likes, in any order, and after the answer.
#[derive(Debug)]
pub struct Overheard<T> {
    hub: Hub,
    wire: T,
}

impl Hub {
    /// The transport that the child is to be served over.
    pub fn over<T: Transport<RoleClient>>(&self, wire: T) -> Overheard<T> {
        let hub = self.clone();
        Overheard { hub, wire }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Overheard<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.wire.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            match self.wire.receive().await {
                Some(JsonRpcMessage::Notification(mut message)) => {
                    let Some(said) = self.hub.hear(message.notification) else {
                        continue;
                    };
                    message.notification = said;
                    return Some(JsonRpcMessage::Notification(message));
                }
                Some(JsonRpcMessage::Response(answer)) => {
                    self.hub.answered(&answer.id);
                    return Some(JsonRpcMessage::Response(answer));
                }
                Some(JsonRpcMessage::Error(answer)) => {
                    if let Some(number) = &answer.id {
                        self.hub.answered(number);
                    }
                    return Some(JsonRpcMessage::Error(answer));
                }
                None => {
                    self.hub.end();
                    return None;
                }
                message => return message,
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.hub.end();
        self.wire.close().await
    }
}

impl<T> Drop for Overheard<T> {
    fn drop(&mut self) {
        self.hub.end();
    }
}

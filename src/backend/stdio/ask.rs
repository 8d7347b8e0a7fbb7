//! What a child asks of its client: handed to the client whose request it is at, where that is certain.
//!
//! The handshake with a child is made once, before it is known who will call. A child of one person is told that its client
//! can be asked for samples, roots and forms, because older clients often can; one that cannot is not asked, and the child
//! reads why. A child that several people share is told that nothing can be asked: whom its question is for would be a guess.

#![expect(
    deprecated,
    reason = "sampling and roots are deprecated by 2026-07-28; older clients and children use them"
)]

use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientResult, CreateMessageRequest,
    CreateMessageRequestParams, CreateMessageResult, ElicitRequest, ElicitRequestParams,
    ElicitResult, ErrorCode, ErrorData, GetExtensions as _, Implementation, ListRootsRequest,
    ListRootsResult, ServerNotification, ServerRequest,
};
use rmcp::service::{
    OriginatingRequestId, PeerRequestOptions, RequestContext, RoleClient, ServiceError,
};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::call::Caller;
use super::hub::Hub;

impl ClientHandler for Hub {
    fn get_info(&self) -> ClientConfig {
        let capabilities = if self.is_shared() {
            ClientCapabilities::default()
        } else {
            ClientCapabilities::builder()
                .enable_sampling()
                .enable_elicitation()
                .enable_roots()
                .build()
        };
        let name = Implementation::new("anteroom", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(capabilities, name)
    }

    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let question = ServerRequest::CreateMessageRequest(CreateMessageRequest::new(params));
        match self.ask(question, context).await? {
            ClientResult::CreateMessageResult(result) => Ok(*result),
            other => reread(&other),
        }
    }

    async fn list_roots(
        &self,
        context: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        let question = ServerRequest::ListRootsRequest(ListRootsRequest::default());
        match self.ask(question, context).await? {
            ClientResult::ListRootsResult(result) => Ok(result),
            other => reread(&other),
        }
    }

    async fn create_elicitation(
        &self,
        params: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let question = ServerRequest::ElicitRequest(ElicitRequest::new(params));
        match self.ask(question, context).await? {
            ClientResult::ElicitResult(result) => Ok(result),
            other => reread(&other),
        }
    }
}

impl Hub {
    /// Asks the client that waits for the child now.
    async fn ask(
        &self,
        question: ServerRequest,
        context: RequestContext<RoleClient>,
    ) -> Result<ClientResult, ErrorData> {
        if self.is_shared() {
            return Err(not_available("several people share this server"));
        }
        let (caller, to) = self
            .sole_caller()
            .ok_or_else(|| not_available("not exactly one request is under way"))?;
        if caller.is_modern {
            // 2026-07-28: servers ask in their answers alone
            return Err(not_available(
                "the client of this request speaks 2026-07-28",
            ));
        }
        if !can_be_asked(&caller.capabilities, &question) {
            return Err(not_available(
                "the client of this request has not declared it",
            ));
        }
        // In a task of its own: the library would take the child's request for the one that this belongs to.
        let asked = tokio::spawn(put(caller, question, to, context));
        asked
            .await
            .unwrap_or_else(|_| Err(not_available("it failed")))
    }
}

/// Puts a question to a client, until it answers, its own request is over, or the child takes the question back.
async fn put(
    caller: Caller,
    mut question: ServerRequest,
    to: mpsc::Sender<ServerNotification>,
    context: RequestContext<RoleClient>,
) -> Result<ClientResult, ErrorData> {
    let request = caller.request.clone();
    question
        .extensions_mut()
        .insert(OriginatingRequestId(request));
    let options = PeerRequestOptions::no_options();
    let asked = caller.peer.send_request_with_option(question, options);
    let mut asked = asked
        .await
        .map_err(|_| not_available("the client is gone"))?;
    let why = tokio::select! {
        answer = &mut asked.rx => return match answer {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(ServiceError::McpError(error))) => Err(error),
            _ => Err(not_available("the client is gone")),
        },
        () = to.closed() => "the request that it belonged to is over",
        () = context.ct.cancelled() => "the server took it back",
    };
    let _ = asked.cancel(Some(why.to_owned())).await;
    Err(not_available(why))
}

fn can_be_asked(capabilities: &ClientCapabilities, question: &ServerRequest) -> bool {
    match question {
        ServerRequest::CreateMessageRequest(_) => capabilities.sampling.is_some(),
        ServerRequest::ListRootsRequest(_) => capabilities.roots.is_some(),
        ServerRequest::ElicitRequest(_) => capabilities.elicitation.is_some(),
        _ => false,
    }
}

fn not_available(why: &str) -> ErrorData {
    let told = format!("the client cannot be asked for this now: {why}");
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, told, None)
}

/// Reads what the library took for the answer to something else.
fn reread<T: DeserializeOwned>(result: &ClientResult) -> Result<T, ErrorData> {
    serde_json::to_value(result)
        .and_then(serde_json::from_value)
        .map_err(|_| ErrorData::internal_error("the client answered something else", None))
}

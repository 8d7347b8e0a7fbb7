//! The server that MCP clients see: it speaks every revision to them, and hands what they ask to the child.
//!
//! Requests go on with every member as it came, only `_meta` is the child's; answers are read and written by the library, so
//! members of them that no revision up to 2026-07-28 knows are lost. What cannot be bridged is not offered: the extensions
//! for tasks and skills.

#![expect(
    deprecated,
    reason = "logging and resources/subscribe are gone in 2026-07-28; older clients use them"
)]

use rmcp::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
    CustomRequest, CustomResult, ErrorData, GetPromptRequestParams, GetPromptResponse,
    InitializeRequestParams, InitializeResult, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ResultType, SKILLS_EXTENSION_ID, ServerConfig, ServerResult,
    SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, TASKS_EXTENSION_ID,
    UnsubscribeRequestParams,
};
use rmcp::service::{Peer, RequestContext, RoleClient, RoleServer, SubscriptionContext};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::call::{Asked, is_modern, told};
use super::front::Made;
use super::session::{self, Session};
use super::subscriptions;

/// One client's session of the older revisions, or one request of 2026-07-28.
#[derive(Debug)]
pub(super) struct Bridge {
    told: ServerConfig,
    session: Session,
}

impl Bridge {
    pub(super) fn new(made: Option<Made>) -> Self {
        let (told, client) = made
            .map(|made| (made.told, made.client))
            .unwrap_or_default();
        Self {
            told,
            session: Session::of(client),
        }
    }

    /// What a child says of itself, without what cannot be bridged.
    pub(super) fn told(child: &Peer<RoleClient>) -> ServerConfig {
        let Some(told) = child.peer_info() else {
            return ServerConfig::default();
        };
        let mut capabilities = told.capabilities.clone();
        if let Some(extensions) = &mut capabilities.extensions {
            extensions.remove(TASKS_EXTENSION_ID);
            extensions.remove(SKILLS_EXTENSION_ID);
        }
        let mut config = ServerConfig::new(capabilities);
        if let Some(info) = &told.server_info {
            config.server_info = info.clone();
        }
        config.instructions.clone_from(&told.instructions);
        config
    }

    /// The request, and the child that answers it; the session is its caller's, and listens to that child.
    fn asked(&self, context: &RequestContext<RoleServer>) -> Result<Asked, ErrorData> {
        let asked = Asked::of(&context.extensions)?;
        if !is_modern(context) {
            self.session.attend(&asked, &context.peer)?;
        }
        Ok(asked)
    }

    /// Hands a request to the child.
    async fn pass(&self, context: RequestContext<RoleServer>) -> Result<ServerResult, ErrorData> {
        let asked = self.asked(&context)?;
        let mut meta = asked.meta(&context);
        let is_modern = is_modern(&context);
        let level = if is_modern {
            context.meta.log_level()
        } else {
            self.session.level()
        };
        if let Some(level) = level {
            if asked.is_child_modern() {
                meta.set_log_level(level);
            } else if is_modern && asked.takes_level() && asked.lease.hub.wants_level(level) {
                // whether it does or not, the call goes on
                let told = session::set_level(asked.child().clone(), level);
                let _ = asked.besides(context.ct.cancelled(), told).await;
            }
        }
        let mut result = asked.call(&context, meta, level).await?;
        if is_modern {
            complete(&mut result);
        }
        Ok(result)
    }
}

impl ServerHandler for Bridge {
    fn get_info(&self) -> ServerConfig {
        self.told.clone()
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        let asked = Asked::of(&context.extensions)?;
        self.session.attend(&asked, &context.peer)?;
        self.negotiate_initialize(&request)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        match self.pass(context).await? {
            ServerResult::ListToolsResult(list) => Ok(list),
            other => reread(&other),
        }
    }

    async fn call_tool(
        &self,
        _call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match self.pass(context).await? {
            ServerResult::CallToolResult(result) => Ok(CallToolResponse::Complete(result)),
            ServerResult::InputRequiredResult(input) => Ok(CallToolResponse::InputRequired(input)),
            other => reread(&other).map(CallToolResponse::Complete),
        }
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        match self.pass(context).await? {
            ServerResult::ListResourcesResult(list) => Ok(list),
            other => reread(&other),
        }
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        match self.pass(context).await? {
            ServerResult::ListResourceTemplatesResult(list) => Ok(list),
            other => reread(&other),
        }
    }

    async fn read_resource(
        &self,
        _read: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        match self.pass(context).await? {
            ServerResult::ReadResourceResult(result) => Ok(ReadResourceResponse::Complete(result)),
            ServerResult::InputRequiredResult(input) => {
                Ok(ReadResourceResponse::InputRequired(input))
            }
            other => reread(&other).map(ReadResourceResponse::Complete),
        }
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        match self.pass(context).await? {
            ServerResult::ListPromptsResult(list) => Ok(list),
            other => reread(&other),
        }
    }

    async fn get_prompt(
        &self,
        _prompt: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        match self.pass(context).await? {
            ServerResult::GetPromptResult(result) => Ok(GetPromptResponse::Complete(result)),
            ServerResult::InputRequiredResult(input) => Ok(GetPromptResponse::InputRequired(input)),
            other => reread(&other).map(GetPromptResponse::Complete),
        }
    }

    async fn complete(
        &self,
        _argument: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        match self.pass(context).await? {
            ServerResult::CompleteResult(result) => Ok(result),
            other => reread(&other),
        }
    }

    async fn on_custom_request(
        &self,
        _request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        match self.pass(context).await? {
            ServerResult::CustomResult(result) => Ok(result),
            other => reread(&other),
        }
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let asked = self.asked(&context)?;
        // a child without logging says so itself; one of 2026-07-28 is told with each request
        let tell_child = self.session.set_level(request.level, &asked);
        if tell_child || (!asked.is_child_modern() && !asked.takes_level()) {
            asked.send(&context).await?;
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let asked = self.asked(&context)?;
        let uri = request.uri;
        let mut stream = None;
        if asked.is_child_modern() {
            let wanted = SubscriptionFilter::builder().resource_subscription(&uri);
            let subscription = asked.child().listen(wanted.build());
            let subscription = asked.besides(context.ct.cancelled(), subscription).await?;
            let subscription = subscription.map_err(told)?;
            stream = Some(subscriptions::relay(subscription, context.peer.clone()));
        }
        // whoever is first hears from the child whether they may, and the next then
        let turn = asked.lease.hub.turns().take(&uri);
        let _turn = asked.besides(context.ct.cancelled(), turn).await?;
        if self.session.subscribe(&uri, &asked, stream) {
            let answer = asked.send(&context).await;
            answer.inspect_err(|_| {
                self.session.unsubscribe(&uri);
            })?;
        }
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let asked = self.asked(&context)?;
        let turn = asked.lease.hub.turns().take(&request.uri);
        let _turn = asked.besides(context.ct.cancelled(), turn).await?;
        if self.session.unsubscribe(&request.uri) {
            asked.send(&context).await?;
        }
        Ok(())
    }

    /// What the child has is compared by the library.
    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let asked = Asked::of(&context.request_context().extensions)?;
        subscriptions::listen(&context, &asked).await
    }
}

/// Adds what 2026-07-28 wants of every result and the older revisions do not know. What was answered to one person is not
/// for caches that others use: the gate shows each what they may see.
fn complete(result: &mut ServerResult) {
    let (result_type, cache_scope) = match result {
        ServerResult::CompleteResult(result) => (&mut result.result_type, None),
        ServerResult::GetPromptResult(result) => (&mut result.result_type, None),
        ServerResult::CallToolResult(result) => (&mut result.result_type, None),
        ServerResult::ListPromptsResult(result) => {
            (&mut result.result_type, Some(&mut result.cache_scope))
        }
        ServerResult::ListResourcesResult(result) => {
            (&mut result.result_type, Some(&mut result.cache_scope))
        }
        ServerResult::ListResourceTemplatesResult(result) => {
            (&mut result.result_type, Some(&mut result.cache_scope))
        }
        ServerResult::ReadResourceResult(result) => {
            (&mut result.result_type, Some(&mut result.cache_scope))
        }
        ServerResult::ListToolsResult(result) => {
            (&mut result.result_type, Some(&mut result.cache_scope))
        }
        ServerResult::CustomResult(CustomResult(Value::Object(result))) => {
            let complete = || json!(ResultType::COMPLETE.as_str());
            result.entry("resultType").or_insert_with(complete);
            return;
        }
        _ => return,
    };
    result_type.get_or_insert(ResultType::COMPLETE);
    if let Some(cache_scope) = cache_scope {
        *cache_scope = Some(CacheScope::Private);
    }
}

/// Reads what the library took for the answer to something else.
fn reread<T: DeserializeOwned>(result: &ServerResult) -> Result<T, ErrorData> {
    serde_json::to_value(result)
        .and_then(serde_json::from_value)
        .map_err(|_| ErrorData::internal_error("the MCP server answered something else", None))
}

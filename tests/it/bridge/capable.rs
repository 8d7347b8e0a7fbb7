//! A server of the library that has one of everything.

use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    CompletionInfo, ContentBlock, ErrorData, GetPromptRequestParams, GetPromptResponse,
    GetPromptResult, Implementation, InputRequiredResult, JsonObject, ListPromptsResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, Prompt, PromptMessage,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
    ResourceContents, Role, ServerCapabilities, ServerConfig, SubscriptionFilter, Tool,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};
use serde_json::json;

pub(super) struct Capable;

impl ServerHandler for Capable {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_completions()
            .enable_resources()
            .enable_resources_subscribe()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("capable", "7"))
            .with_instructions("one of everything")
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = ListToolsResult::default();
        let cursor = page.and_then(|page| page.cursor);
        let is_second = cursor.as_deref() == Some("second");
        let name = if is_second { "ask" } else { "echo" };
        list.next_cursor = (!is_second).then(|| "second".to_owned());
        list.tools
            .push(Tool::new(name, "a tool", JsonObject::new()));
        Ok(list)
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if call.name == "ask" && call.input_responses.is_none() {
            let can_elicit = context
                .client_capabilities()
                .is_some_and(|capabilities| capabilities.elicitation.is_some());
            let state = format!("elicits: {can_elicit}");
            return Ok(CallToolResponse::InputRequired(
                InputRequiredResult::from_request_state(state),
            ));
        }
        let arguments = json!(call.arguments).to_string();
        let result = CallToolResult::success(vec![ContentBlock::text(arguments)]);
        Ok(CallToolResponse::Complete(result))
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let mut list = ListResourcesResult::default();
        list.resources.push(Resource::new("memo://1", "memo"));
        Ok(list)
    }

    async fn read_resource(
        &self,
        read: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if read.uri != "memo://1" {
            return Err(ErrorData::resource_not_found("no such memo", None));
        }
        let contents = vec![ResourceContents::text("remember", read.uri)];
        Ok(ReadResourceResponse::Complete(ReadResourceResult::new(
            contents,
        )))
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let mut list = ListPromptsResult::default();
        list.prompts
            .push(Prompt::new("greet", Some("a greeting"), None));
        Ok(list)
    }

    async fn get_prompt(
        &self,
        _prompt: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let hello = PromptMessage::new_text(Role::User, "hello");
        Ok(GetPromptResponse::Complete(GetPromptResult::new(vec![
            hello,
        ])))
    }

    async fn complete(
        &self,
        _argument: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let values = CompletionInfo::new(vec!["rust".to_owned()]).unwrap();
        Ok(CompleteResult::new(values))
    }

    fn accepted_subscription_filter(
        &self,
        asked: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(asked.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        for uri in context.accepted().resource_subscriptions.iter().flatten() {
            let _ = context.sink().notify_resource_updated(uri).await;
        }
        if context.accepted().tools_list_changed == Some(true) {
            let _ = context.sink().notify_tool_list_changed().await;
        }
        context.cancelled().await;
        Ok(())
    }
}

// The MCP server that the official conformance suite calls: the tools, resources and prompts that its scenarios name, by the
// official SDK, in both eras. It stands behind anteroom, so that all they try goes through the gate.

import { NodeStreamableHTTPServerTransport, toNodeHandler } from "@modelcontextprotocol/node";
import {
  acceptedContent, classifyInboundRequest, CLIENT_CAPABILITIES_META_KEY, createMcpHandler, createRequestStateCodec, fromJsonSchema,
  inputRequired, isInitializeRequest, McpServer, ResourceTemplate,
} from "@modelcontextprotocol/server";
import { randomBytes, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { json as readJson } from "node:stream/consumers";
import { closed } from "./chromium.mjs";

/** Starts it; `url` is where. */
export async function startReference() {
  const sessions = new Map();
  const modern = createMcpHandler(() => everything({ sessions, modern }));
  const modernNode = toNodeHandler(modern);
  const server = createServer(async (request, response) => {
    const body = request.method === "POST" ? await readJson(request) : undefined;
    const { kind } = classifyInboundRequest({
      httpMethod: request.method,
      protocolVersionHeader: request.headers["mcp-protocol-version"],
      mcpMethodHeader: request.headers["mcp-method"],
      body,
    });
    if (request.method === "POST" && kind !== "legacy") return modernNode(request, response, body);
    const id = request.headers["mcp-session-id"];
    const transport = sessions.get(id) ?? (id === undefined && isInitializeRequest(body) ? await opened({ sessions, modern }) : undefined);
    if (transport) return transport.handleRequest(request, response, body);
    const error = { jsonrpc: "2.0", id: null, error: { code: -32001, message: "Session not found" } };
    response.writeHead(id ? 404 : 400, { "content-type": "application/json" }).end(JSON.stringify(error));
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const stop = async () => {
    for (const transport of sessions.values()) await transport.close();
    await closed(server);
  };
  return { url: `http://127.0.0.1:${server.address().port}/mcp`, stop };
}

// A session of the older revisions. Its events are kept, so that a stream that broke off can be taken up again.
async function opened(place) {
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    retryInterval: 500,
    eventStore: eventStore(),
    onsessioninitialized: (id) => place.sessions.set(id, transport),
  });
  transport.onclose = () => place.sessions.delete(transport.sessionId);
  await everything(place).connect(transport);
  return transport;
}

function eventStore() {
  const events = [];
  return {
    async storeEvent(stream, message) {
      events.push({ stream, message });
      return `${stream}::${events.length - 1}`;
    },
    async replayEventsAfter(last, { send }) {
      const [stream, number] = last.split("::");
      for (const [at, event] of events.entries()) {
        const isMessage = event.message && Object.keys(event.message).length > 0;
        if (at > Number(number) && event.stream === stream && isMessage) await send(`${stream}::${at}`, event.message);
      }
      return stream;
    },
  };
}

const states = createRequestStateCodec({ key: randomBytes(32) });

function everything(place) {
  const capabilities = {
    tools: { listChanged: true }, prompts: { listChanged: true }, resources: { subscribe: true, listChanged: true }, logging: {}, completions: {},
  };
  const server = new McpServer({ name: "conformance-reference", version: "1.0.0" }, { capabilities, requestState: { verify: states.verify } });
  for (const [name, { description = name, schema = { type: "object" }, run }] of Object.entries({ ...contents, ...older, ...newer, ...triggers(place), ...leaver(place) })) {
    server.registerTool(name, { description, inputSchema: fromJsonSchema(schema) }, run);
  }
  for (const [name, place, mimeType, content] of resources) {
    server.registerResource(name, place, { title: name, mimeType }, async (uri, variables) => ({ contents: [{ uri: String(uri), mimeType, ...content(variables) }] }));
  }
  for (const [name, { schema, run }] of Object.entries(prompts)) {
    const argsSchema = schema && fromJsonSchema(schema);
    server.registerPrompt(name, { title: name, description: name, ...(argsSchema && { argsSchema }) }, run);
  }
  for (const method of ["resources/subscribe", "resources/unsubscribe", "logging/setLevel"]) {
    server.server.setRequestHandler(method, async () => ({}));
  }
  server.server.setRequestHandler("completion/complete", async () => ({ completion: { values: [], total: 0, hasMore: false } }));
  return server;
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const text = (words) => ({ type: "text", text: words });
const said = (...content) => ({ content: content.map((part) => (typeof part === "string" ? text(part) : part)) });
const strings = (...names) => ({ type: "object", properties: Object.fromEntries(names.map((name) => [name, { type: "string" }])), required: names });

// One red pixel, and a sound of no length.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const silence = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";
const image = { type: "image", data: pixel, mimeType: "image/png" };
const embedded = (uri, mimeType, words) => ({ type: "resource", resource: { uri, mimeType, text: words } });

// What a tool can answer, and how it tells of it on the way.
const contents = {
  test_simple_text: { run: async () => said("This is a simple text response for testing.") },
  test_image_content: { run: async () => said(image) },
  test_audio_content: { run: async () => said({ type: "audio", data: silence, mimeType: "audio/wav" }) },
  test_embedded_resource: { run: async () => said(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")) },
  test_multiple_content_types: {
    run: async () => said("Multiple content types test:", image, embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')),
  },
  test_error_handling: {
    run: async () => {
      throw new Error("This tool intentionally returns an error for testing");
    },
  },
  test_tool_with_logging: {
    run: async (_, { mcpReq }) => {
      for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
        await mcpReq.notify({ method: "notifications/message", params: { level: "info", data } });
        await pause(20);
      }
      return said("Tool with logging executed successfully");
    },
  },
  test_tool_with_progress: {
    run: async (_, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
        await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: 100 } });
        await pause(20);
      }
      return said(String(progressToken));
    },
  },
  test_x_mcp_header: {
    schema: { type: "object", properties: { region: { type: "string", "x-mcp-header": "Region" } } },
    run: async ({ region }) => said(`region=${region}`),
  },
  json_schema_2020_12_tool: {
    schema: {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      $defs: { address: { $anchor: "addressDef", type: "object", properties: { street: { type: "string" }, city: { type: "string" } } } },
      properties: {
        name: { type: "string" }, address: { $ref: "#/$defs/address" }, contactMethod: { type: "string", enum: ["phone", "email"] },
        phone: { type: "string" }, email: { type: "string" },
      },
      allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
      if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
      then: { required: ["phone"] },
      else: { required: ["email"] },
      additionalProperties: false,
    },
    run: async () => said("called"),
  },
  test_streaming_elicitation: { run: async () => said("nothing but a result") },
  test_logging_tool: {
    run: async (_, { mcpReq }) => {
      await mcpReq.log("info", "told only to who asked for it");
      return said("done");
    },
  },
};

// The older revisions: the server asks the client while the call is open, on the stream of its answer.
const elicited = (message, properties, required = []) => async (args, { mcpReq }) => {
  const requestedSchema = { type: "object", properties: properties, required };
  const answer = await mcpReq.send({ method: "elicitation/create", params: { message: args.message ?? message, requestedSchema } });
  return said(`action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
};
const titled = (noun) => [1, 2, 3].map((number) => ({ const: `value${number}`, title: `${noun} ${number}` }));
const options = (name) => [1, 2, 3].map((number) => `${name}${number}`);
const older = {
  test_sampling: {
    schema: strings("prompt"),
    run: async ({ prompt }, { mcpReq }) => {
      const params = { messages: [{ role: "user", content: text(prompt) }], maxTokens: 100 };
      const answer = await mcpReq.send({ method: "sampling/createMessage", params });
      return said(`LLM response: ${answer.content?.text}`);
    },
  },
  test_elicitation: { schema: strings("message"), run: elicited("", { response: { type: "string", description: "User's response" } }, ["response"]) },
  test_elicitation_sep1034_defaults: {
    run: elicited("Please review the defaults", {
      name: { type: "string", default: "John Doe" },
      age: { type: "integer", default: 30 },
      score: { type: "number", default: 95.5 },
      status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
      verified: { type: "boolean", default: true },
    }),
  },
  test_elicitation_sep1330_enums: {
    run: elicited("Please select", {
      untitledSingle: { type: "string", enum: options("option") },
      titledSingle: { type: "string", oneOf: titled("Option") },
      legacyEnum: { type: "string", enum: options("opt"), enumNames: options("Option ") },
      untitledMulti: { type: "array", minItems: 1, maxItems: 3, items: { type: "string", enum: options("option") } },
      titledMulti: { type: "array", minItems: 1, maxItems: 3, items: { anyOf: titled("Choice") } },
    }),
  },
};

// 2026-07-28: the server answers that it needs something, and the client calls again with it.
const ask = (property, type = "string", message = `What is your ${property}?`) =>
  inputRequired.elicit({ message, requestedSchema: { type: "object", properties: { [property]: { type } }, required: [property] } });
const complete = (words) => inputRequired.createMessage({ messages: [{ role: "user", content: text(words) }], maxTokens: 50 });
const mint = (state) => states.mint({ ...state, nonce: randomUUID() });
const newer = {
  test_missing_capability: {
    run: async (_, { mcpReq }) => (mcpReq.inputResponses?.answer ? said("done") : inputRequired({ inputRequests: { answer: complete("Reply with pong") } })),
  },
  test_input_required_result_elicitation: {
    run: async (_, { mcpReq }) => {
      const name = acceptedContent(mcpReq.inputResponses, "user_name")?.name;
      return typeof name === "string" ? said(`Hello, ${name}!`) : inputRequired({ inputRequests: { user_name: ask("name") } });
    },
  },
  test_input_required_result_sampling: {
    run: async (_, { mcpReq }) => {
      const answer = mcpReq.inputResponses?.capital_question;
      if (!answer) return inputRequired({ inputRequests: { capital_question: complete("What is the capital of France?") } });
      return said(`Sampling response: ${answer.content?.text ?? JSON.stringify(answer)}`);
    },
  },
  test_input_required_result_list_roots: {
    run: async (_, { mcpReq }) => {
      const roots = mcpReq.inputResponses?.client_roots?.roots;
      return Array.isArray(roots) ? said(`${roots.length} root(s)`) : inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
    },
  },
  test_input_required_result_request_state: {
    run: async (_, { mcpReq }) => {
      const agreed = acceptedContent(mcpReq.inputResponses, "confirm") !== undefined && mcpReq.requestState() !== undefined;
      if (agreed) return said("state-ok: requestState verified and confirmation received");
      return inputRequired({ inputRequests: { confirm: ask("ok", "boolean", "Please confirm") }, requestState: await mint({}) });
    },
  },
  test_input_required_result_multiple_inputs: {
    run: async (_, { mcpReq }) => {
      const { greeting, client_roots } = mcpReq.inputResponses ?? {};
      const name = acceptedContent(mcpReq.inputResponses, "user_name")?.name;
      if (typeof name === "string" && greeting && client_roots) return said(`${greeting.content?.text} ${name}`);
      const inputRequests = { user_name: ask("name"), greeting: complete("Generate a greeting"), client_roots: inputRequired.listRoots() };
      return inputRequired({ inputRequests, requestState: await mint({}) });
    },
  },
  test_input_required_result_multi_round: {
    run: async (_, { mcpReq }) => {
      const round = mcpReq.requestState()?.round ?? 0;
      if (round === 2) return said("Multi-round complete");
      const step = round === 0 ? { step1: ask("name") } : { step2: ask("color") };
      return inputRequired({ inputRequests: step, requestState: await mint({ round: round + 1 }) });
    },
  },
  test_input_required_result_tampered_state: {
    run: async (_, { mcpReq }) => {
      const agreed = acceptedContent(mcpReq.inputResponses, "confirm") !== undefined && mcpReq.requestState() !== undefined;
      if (agreed) return said("integrity-ok: requestState verified");
      return inputRequired({ inputRequests: { confirm: ask("ok", "boolean", "Please confirm") }, requestState: await mint({}) });
    },
  },
  test_input_required_result_capabilities: {
    run: async (_, { mcpReq }) => {
      if (mcpReq.inputResponses) return said("Capability-aware input requests fulfilled");
      const declared = mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? {};
      const requests = { elicitation: ["user_name", ask("name")], sampling: ["greeting", complete("Generate a greeting")], roots: ["client_roots", inputRequired.listRoots()] };
      const possible = Object.keys(requests).filter((kind) => declared[kind] !== undefined).map((kind) => requests[kind]);
      return possible.length > 0 ? inputRequired({ inputRequests: Object.fromEntries(possible) }) : said("nothing can be asked");
    },
  },
};

// Tells whoever listens that a list has changed.
const triggers = ({ modern }) => ({
  test_trigger_tool_change: { run: async () => (modern.notify.toolsChanged(), said("told")) },
  test_trigger_prompt_change: { run: async () => (modern.notify.promptsChanged(), said("told")) },
});

// Breaks its own stream off, and answers when the client has come back to it.
const leaver = ({ sessions }) => ({
  test_reconnection: {
    run: async (_, { sessionId, mcpReq }) => {
      sessions.get(sessionId)?.closeSSEStream(mcpReq.id);
      await pause(100);
      return said("Reconnection test completed successfully");
    },
  },
});

const resources = [
  ["static-text", "test://static-text", "text/plain", () => ({ text: "This is the content of the static text resource." })],
  ["static-binary", "test://static-binary", "image/png", () => ({ blob: pixel })],
  ["watched-resource", "test://watched-resource", "text/plain", () => ({ text: "Watched resource content" })],
  [
    "template", new ResourceTemplate("test://template/{id}/data", { list: undefined }), "application/json",
    ({ id }) => ({ text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) }),
  ],
];

const asks = (...contents) => ({ messages: contents.map((content) => ({ role: "user", content })) });
const prompts = {
  test_simple_prompt: { run: async () => asks(text("This is a simple prompt for testing.")) },
  test_prompt_with_arguments: {
    schema: strings("arg1", "arg2"),
    run: async ({ arg1, arg2 }) => asks(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  },
  test_prompt_with_embedded_resource: {
    schema: strings("resourceUri"),
    run: async ({ resourceUri }) => asks(embedded(resourceUri, "text/plain", "Embedded resource content for testing."), text("Please process the embedded resource above.")),
  },
  test_prompt_with_image: { run: async () => asks(image, text("Please analyze the image above.")) },
  test_input_required_result_prompt: {
    run: async ({ mcpReq }) => {
      const context = acceptedContent(mcpReq.inputResponses, "user_context")?.context;
      return typeof context === "string" ? asks(text(`Use the following context: ${context}`)) : inputRequired({ inputRequests: { user_context: ask("context") } });
    },
  },
};

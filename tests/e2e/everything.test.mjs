// The official "everything" server behind anteroom, over HTTP and as a child on stdin and stdout, driven by the official clients.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { Credentials, text } from "./client.mjs";
import { freePort, run, startAnteroom } from "./server.mjs";
import { connected, v1, v2Auto, v2Legacy, v2Modern } from "./sdks.mjs";

const everything = createRequire(import.meta.url).resolve("@modelcontextprotocol/server-everything/dist/index.js");
const long = "trigger-long-running-operation";

/** Over HTTP the server and the client agree on a revision; as a child, the server is translated into the client's. */
const arrangements = [
  {
    over: "HTTP",
    sdks: [v1, v2Legacy, v2Auto],
    async start() {
      const port = await freePort();
      const program = await run(process.execPath, [everything, "streamableHttp"], { ready: /listening on port/, env: { PORT: String(port) } });
      const server = await startAnteroom(["--backend", `http://127.0.0.1:${port}/mcp`]);
      const stop = async () => {
        await server.stop();
        await program.stop();
      };
      return { ...server, stop };
    },
  },
  {
    over: "stdio",
    sdks: [v1, v2Legacy, v2Modern],
    start: () => startAnteroom(["--", process.execPath, everything, "stdio"]),
  },
];

/** Each SDK has a person of its own: what a child says of itself reaches the client of one alone, where a person has several. */
const people = new Map([
  [v1, "mona"],
  [v2Legacy, "octavia"],
  [v2Auto, "hubot"],
  [v2Modern, "hubot"],
]);

for (const { over, sdks, start } of arrangements) {
  let server;
  const clients = new Map(sdks.map((sdk) => [sdk, clientOf(people.get(sdk))]));
  before(async () => {
    server = await start();
  });
  after(() => server?.stop());

  for (const sdk of sdks) {
    const name = `everything over ${over}, ${sdk.name}`;
    const open = (options) => connected(sdk, server.url, clients.get(sdk), options);
    const call = (client, request, options) => sdk.call(client, request, { timeout: 60_000, ...options });

    test(`${name}: tools are listed and called`, async () => {
      const { client } = await open();
      const tools = (await client.listTools()).tools.map((tool) => tool.name);
      for (const tool of ["echo", "get-sum", "get-structured-content", long]) assert.ok(tools.includes(tool), `${tool}: ${tools}`);
      assert.match(text(await client.callTool({ name: "get-sum", arguments: { a: 2, b: 40 } })), /\b42\b/);
      const structured = await client.callTool({ name: "get-structured-content", arguments: { location: "Chicago" } });
      assert.equal(typeof structured.structuredContent.temperature, "number");
      const image = await client.callTool({ name: "get-tiny-image", arguments: {} });
      assert.ok(image.content.some((part) => part.type === "image" && part.data.length > 1000));
      const wrong = await client.callTool({ name: "get-sum", arguments: { a: "two" } });
      assert.equal(wrong.isError, true);
      await client.close();
    });

    // @covers HTTP-15
    test(`${name}: what a long call says of its progress arrives while it goes on`, async () => {
      const { client } = await open();
      const heard = [];
      const onprogress = ({ progress, total }) => heard.push({ progress, total, at: Date.now() });
      const result = await call(client, { name: long, arguments: { duration: 4, steps: 4 } }, { onprogress });
      const ended = Date.now();
      assert.match(text(result), /completed/);
      assert.deepEqual(heard.map(({ progress, total }) => [progress, total]), [1, 2, 3, 4].map((step) => [step, 4]));
      // a proxy that holds the stream back delivers all of it at the end
      assert.ok(ended - heard[0].at > 2000, JSON.stringify({ heard, ended }));
      await client.close();
    });

    test(`${name}: calls at once each hear of their own progress`, async () => {
      const { client } = await open();
      const steps = [3, 4, 5];
      const heard = steps.map(() => []);
      await Promise.all(
        steps.map((each, place) =>
          call(client, { name: long, arguments: { duration: 1, steps: each } }, { onprogress: ({ progress, total }) => heard[place].push([progress, total]) }),
        ),
      );
      assert.deepEqual(heard, steps.map((each) => Array.from({ length: each }, (_, at) => [at + 1, each])));
      await client.close();
    });

    test(`${name}: a call that is given up leaves the connection as it was`, async () => {
      const { client } = await open();
      const giveUp = new AbortController();
      const onprogress = () => giveUp.abort(new Error("no longer wanted"));
      await assert.rejects(call(client, { name: long, arguments: { duration: 30, steps: 60 } }, { onprogress, signal: giveUp.signal }), /no longer wanted/);
      assert.match(text(await client.callTool({ name: "echo", arguments: { message: "still here" } })), /still here/);
      await client.close();
    });

    test(`${name}: resources and their templates are listed and read`, async () => {
      const { client } = await open();
      const { resources } = await client.listResources();
      assert.ok(resources.length > 0);
      const { contents } = await client.readResource({ uri: resources[0].uri });
      assert.ok(contents[0].text.length > 0);
      const { resourceTemplates } = await client.listResourceTemplates();
      assert.ok(resourceTemplates.some(({ uriTemplate }) => uriTemplate === "demo://resource/dynamic/text/{resourceId}"), JSON.stringify(resourceTemplates));
      const dynamic = await client.readResource({ uri: "demo://resource/dynamic/text/7" });
      assert.match(dynamic.contents[0].text, /Resource 7/);
      await assert.rejects(client.readResource({ uri: "demo://resource/dynamic/text/no-number" }));
      await client.close();
    });

    test(`${name}: prompts are listed, completed and filled in`, async () => {
      const { client } = await open();
      const { prompts } = await client.listPrompts();
      assert.ok(prompts.some((prompt) => prompt.name === "completable-prompt"), JSON.stringify(prompts));
      const { completion } = await client.complete({
        ref: { type: "ref/prompt", name: "completable-prompt" },
        argument: { name: "name", value: "B" },
        context: { arguments: { department: "Engineering" } },
      });
      assert.deepEqual(completion.values, ["Bob"]);
      const filled = await client.getPrompt({ name: "completable-prompt", arguments: { department: "Engineering", name: "Bob" } });
      assert.match(filled.messages[0].content.text, /promote Bob/);
      await client.close();
    });
  }

  // What follows needs a stream from the server: the revisions up to 2025-11-25.
  for (const sdk of sdks.filter((sdk) => sdk.revision < "2026")) {
    const name = `everything over ${over}, ${sdk.name}`;

    test(`${name}: what the server says on its own arrives`, async () => {
      let heard;
      const logged = new Promise((resolve) => (heard = resolve));
      const { client } = await connected(sdk, server.url, clients.get(sdk), { prepare: (client) => hear(client, "notifications/message", heard) });
      await client.callTool({ name: "toggle-simulated-logging", arguments: {} });
      const { params } = await within(20_000, logged);
      assert.match(params.data, /message/i);
      await client.callTool({ name: "toggle-simulated-logging", arguments: {} });
      await client.close();
    });

    test(`${name}: who subscribed to a resource hears that it changed`, async () => {
      let heard;
      const updated = new Promise((resolve) => (heard = resolve));
      const { client } = await connected(sdk, server.url, clients.get(sdk), { prepare: (client) => hear(client, "notifications/resources/updated", heard) });
      const uri = "demo://resource/dynamic/text/3";
      await client.subscribeResource({ uri });
      await client.callTool({ name: "toggle-subscriber-updates", arguments: {} });
      const { params } = await within(20_000, updated);
      assert.equal(params.uri, uri);
      await client.unsubscribeResource({ uri });
      await client.callTool({ name: "toggle-subscriber-updates", arguments: {} });
      await client.close();
    });
  }

  test(`everything over ${over}: a question of the server to the client is answered in the middle of a call`, async () => {
    const prepare = (client) =>
      client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => ({
        model: "none",
        role: "assistant",
        content: { type: "text", text: `you said: ${params.messages[0].content.text}` },
      }));
    const { client } = await connected(v1, server.url, clients.get(v1), { capabilities: { sampling: {} }, prepare });
    const answer = await client.callTool({ name: "trigger-sampling-request", arguments: { prompt: "hello", maxTokens: 10 } });
    assert.match(text(answer), /you said: .*hello/);
    await client.close();
  });
}

/** The credentials of a client that somebody signs in with. */
function clientOf(person) {
  const credentials = new Credentials();
  credentials.signIn = (choices) => Credentials.prototype.signIn.call(credentials, { as: person, ...choices });
  return credentials;
}

/** Notifications of one kind. */
function hear(client, method, heard) {
  client.fallbackNotificationHandler = async (notification) => {
    if (notification.method === method) heard(notification);
  };
}

async function within(limit, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${limit} ms`)), limit);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

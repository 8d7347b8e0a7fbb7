// The official conformance suite against the real program: what it checks of an authorization server, and what it checks of
// an MCP server, through the gate and with the token of a person who signed in.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Browser } from "./browser.mjs";
import { closed } from "./chromium.mjs";
import { freePort, startAnteroom, work } from "./server.mjs";
import { pkce, register, send } from "./wire.mjs";

// Scenarios of an authorization server: all of them are ours.
const authorizationServer = ["authorization-server-metadata-endpoint", "authorization-code-grant"];

// Scenarios of an MCP server that its reference fixture is not needed for, in each revision that they are of.
const mcpServer = [
  "server-initialize", "server-session-lifecycle", "server-stateless", "ping", "completion-complete", "tools-list", "resources-list",
  "prompts-list", "server-sse-multiple-streams", "sep-2164-resource-not-found", "dns-rebinding-protection", "caching", "http-header-validation",
];

// Single checks in them that the sample server cannot meet, each with the reason. They must be missed: else the entry is old.
const missed = {
  "server-stateless": {
    "sep-2575-server-rejects-undeclared-capability": "needs the fixture's tool test_missing_capability",
    "sep-2575-missing-capability-http-400": "needs the fixture's tool test_missing_capability",
    "sep-2575-http-server-no-independent-requests-on-stream": "needs the fixture's tool test_streaming_elicitation",
    "sep-2575-server-no-log-without-loglevel": "needs the fixture's tool test_logging_tool",
    "sep-2575-server-sends-subscription-ack": "the lists of the sample server never change, and it has no streams to listen on",
    "sep-2575-server-tags-subscription-id": "as above",
    "sep-2575-server-honors-notification-filter": "as above",
    "sep-2575-server-sends-prompts-list-changed-on-subscription": "as above",
    "sep-2575-server-sends-tools-list-changed-on-subscription": "as above",
  },
};

// Everything else, and why it is not run.
const others = [
  [
    "calls a tool, prompt or resource that only the suite's own reference server has",
    [
      "tools-call-simple-text", "tools-call-image", "tools-call-audio", "tools-call-embedded-resource", "tools-call-mixed-content",
      "tools-call-with-logging", "tools-call-error", "tools-call-with-progress", "tools-call-sampling", "tools-call-elicitation",
      "json-schema-2020-12", "elicitation-sep1034-defaults", "elicitation-sep1330-enums", "server-sse-polling",
      "resources-read-text", "resources-read-binary", "resources-templates-read", "prompts-get-simple", "prompts-get-with-args",
      "prompts-get-embedded-resource", "prompts-get-with-image", "http-custom-header-server-validation",
      ...["basic-elicitation", "basic-sampling", "basic-list-roots", "request-state", "multiple-input-requests", "multi-round", "missing-input-response",
        "non-tool-request", "result-type", "unsupported-methods", "tampered-state", "capability-check", "ignore-extra-params", "validate-input",
      ].map((name) => `input-required-result-${name}`),
    ],
  ],
  ["a capability that the sample server does not declare", ["logging-set-level", "resources-subscribe", "resources-unsubscribe"]],
  [
    "an extension of MCP servers that the sample server does not have",
    [
      "sep-2640-skills-directory", "sep-2640-skills-enumeration", "sep-2640-skills-manifest",
      ...["lifecycle", "capability-negotiation", "wire-fields", "request-state-removal", "mrtr-input", "request-headers", "dispatch-and-envelope",
        "status-notifications", "required-task-error", "mrtr-composition"].map((name) => `tasks-${name}`),
    ],
  ],
  ["tests a client, and anteroom is none: the suite is the server there", ["every client scenario"]],
];

const suite = fileURLToPath(new URL("./node_modules/@modelcontextprotocol/conformance/dist/index.js", import.meta.url));
const results = join(work, "conformance");
const { authorization, client, server: ofServers } = listing();

// What the installed version has: kind -> scenario -> revisions.
function listing() {
  const kinds = { Server: "server", Client: "client", "Authorization server": "authorization" };
  const found = {};
  let kind;
  for (const line of execFileSync(process.execPath, [suite, "list"], { encoding: "utf8" }).split("\n")) {
    const title = /^(\w.*) scenarios\b/.exec(line);
    const entry = /^ {2}- (\S+) \[(.+)\]$/.exec(line);
    if (title) found[(kind = kinds[title[1]])] = new Map();
    else if (entry) found[kind].set(entry[1], entry[2].split(","));
    else assert.equal(line.trim(), "", `a line that is not understood: ${line}`);
  }
  return found;
}

let anteroom;
let person;
let front;
before(async () => {
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  anteroom = await startAnteroom();
  person = await signedIn();
  front = await withToken(person);
});
after(async () => {
  if (front) await closed(front.server);
  await anteroom?.stop();
});

// Registers a client, and signs a person in with it.
async function signedIn() {
  const redirectUri = `http://127.0.0.1:${await freePort()}/callback`;
  const { client_id } = await register(`${anteroom.issuer}/register`, { redirect_uris: [redirectUri], token_endpoint_auth_method: "none" });
  const { verifier, challenge } = pkce();
  const asked = { response_type: "code", client_id, redirect_uri: redirectUri, code_challenge: challenge, code_challenge_method: "S256" };
  const back = await new Browser().signIn(`${anteroom.issuer}/authorize?${new URLSearchParams(asked)}`, { redirectUri });
  const form = { grant_type: "authorization_code", client_id, redirect_uri: redirectUri, code: back.searchParams.get("code"), code_verifier: verifier };
  const { json } = await send(`${anteroom.issuer}/token`, { form });
  return json.access_token;
}

// The suite has no way to send a token, so it comes here, and goes on with one. Where it calls this place by its name, the
// name of anteroom is put instead, and nothing else is changed: names that it makes up reach anteroom as they are.
async function withToken(token) {
  const there = new URL(anteroom.issuer);
  const server = createServer((asked, answer) => {
    const own = `localhost:${server.address().port}`;
    const headers = { ...asked.headers, authorization: `Bearer ${token}` };
    if (headers.host === own) headers.host = there.host;
    if (headers.origin === `http://${own}`) headers.origin = there.origin;
    const onward = request({ host: "127.0.0.1", port: there.port, method: asked.method, path: asked.url, headers }, (from) => {
      answer.writeHead(from.statusCode, from.rawHeaders);
      from.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    asked.pipe(onward);
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "localhost", resolve));
  return { server, url: `http://localhost:${server.address().port}/mcp` };
}

// Runs the suite. `onOutput` sees what it has said so far.
async function conduct(kind, args, onOutput = () => {}) {
  const folder = mkdtempSync(join(results, `${kind}-`));
  const child = spawn(process.execPath, [suite, kind, ...args, "--output-dir", folder], { stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output += chunk;
      onOutput(output);
    });
  }
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  const checks = readdirSync(folder).flatMap((run) => JSON.parse(readFileSync(join(folder, run, "checks.json"), "utf8")));
  return { code, output, checks };
}

// What the suite says at the end: passed and failed of each scenario. A single one is told in other words than several.
function summary(output) {
  const [single] = output.matchAll(/^Passed: (\d+)\/(\d+), (\d+) failed, \d+ warnings$/gm);
  const several = output.matchAll(/^[✓✗] (\S+): (\d+) passed, (\d+) failed$/gm);
  const told = single ? [[, , single[1], single[3]]] : [...several];
  return told.map(([, , passed, failed]) => ({ passed: Number(passed), failed: Number(failed) }));
}

// A run is good if all that it says of itself agrees, each scenario has checked something, and nothing but the checks of
// `allowed` went wrong: they must have.
function judge({ code, output, checks }, allowed = {}, scenarios = 1) {
  const told = summary(output);
  assert.equal(told.length, scenarios, output);
  assert.ok(told.every(({ passed }) => passed > 0), `nothing was checked:\n${output}`);
  const sum = (member) => told.reduce((total, one) => total + one[member], 0);
  const count = (status) => checks.filter((check) => check.status === status).length;
  assert.deepEqual([sum("passed"), sum("failed")], [count("SUCCESS"), count("FAILURE")], output);
  const bad = checks.filter((check) => !["SUCCESS", "INFO"].includes(check.status));
  assert.deepEqual([...new Set(bad.map((check) => check.id))].sort(), Object.keys(allowed).sort(), JSON.stringify(bad, undefined, 1));
  assert.equal(code, sum("failed") > 0 ? 1 : 0, output);
}

test("every scenario of the installed suite is run, or there is a reason why not", () => {
  const reasoned = others.flatMap(([, names]) => names);
  const everyClient = "every client scenario";
  const told = [...authorizationServer, ...mcpServer, ...reasoned].filter((name) => name !== everyClient);
  assert.deepEqual(told.toSorted(), [...ofServers.keys(), ...authorization.keys()].sort(), "run or listed, each once");
  assert.ok(client.size > 0 && reasoned.includes(everyClient));
  for (const name of Object.keys(missed)) assert.ok(mcpServer.includes(name), name);
});

for (const name of mcpServer) {
  for (const revision of ofServers.get(name) ?? []) {
    // @covers HTTP-01, HTTP-02, HTTP-10, HTTP-20, HTTP-23, HTTP-26
    test(`${name} of ${revision}`, async () => {
      judge(await conduct("server", ["--url", front.url, "--scenario", name, "--spec-version", revision]), missed[name]);
    });
  }
}

// @covers DISC-20, DISC-23, DISC-24, DISC-33
for (const revision of authorization.get("authorization-server-metadata-endpoint")) {
  test(`authorization-server-metadata-endpoint of ${revision}`, async () => {
    const args = ["--url", anteroom.issuer, "--scenario", "authorization-server-metadata-endpoint", "--spec-version", revision];
    judge(await conduct("authorization", args));
  });
}

// @covers AUTHZ-10, AUTHZ-14, AUTHZ-16, TOK-03
for (const revision of authorization.get("authorization-code-grant")) {
  for (const resource of [false, true]) {
    test(`authorization-code-grant of ${revision}, ${resource ? "for the MCP server by its name" : "for whatever there is"}`, async () => {
      const port = await freePort();
      const redirectUri = `http://127.0.0.1:${port}/callback`;
      const { client_id } = await register(`${anteroom.issuer}/register`, { redirect_uris: [redirectUri], token_endpoint_auth_method: "none" });
      const named = resource ? ["--resource", anteroom.url] : [];
      const args = ["--url", anteroom.issuer, "--client-id", client_id, "--port", String(port), "--spec-version", revision, ...named];
      // It prints where the person has to go, and waits for them at its redirect URI.
      let went;
      const go = async (url) => {
        const back = await new Browser().signIn(url, { redirectUri });
        assert.equal((await send(back)).status, 200);
      };
      const outcome = await conduct("authorization", args, (output) => {
        const url = new RegExp(`^${anteroom.issuer}/authorize\\?\\S+$`, "m").exec(output);
        if (url && output.includes("Waiting")) went ??= go(url[0]);
      });
      assert.ok(went, outcome.output);
      await went;
      judge(outcome, {}, authorizationServer.length);
      assert.ok(outcome.checks.some((check) => check.id === "authorization-code-grant"), outcome.output);
    });
  }
}

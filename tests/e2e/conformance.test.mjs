// The official conformance suite against the real program: what it checks of an authorization server, and what it checks of
// an MCP server, through the gate and with the token of a person who signed in. Behind the gate stands the server that the
// suite's scenarios call, and once more our own sample server, for what can be asked of any server.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Browser } from "./browser.mjs";
import { closed } from "./chromium.mjs";
import { startReference } from "./reference.mjs";
import { freePort, startAnteroom, work } from "./server.mjs";
import { pkce, register, send } from "./wire.mjs";

// Scenarios of an authorization server: all of them are ours.
const authorizationServer = ["authorization-server-metadata-endpoint", "authorization-code-grant"];

// Scenarios of an MCP server that need no certain tools, resources or prompts: the sample server must pass them as well.
const anyServer = [
  "server-initialize", "server-session-lifecycle", "server-stateless", "ping", "completion-complete", "tools-list", "resources-list",
  "prompts-list", "server-sse-multiple-streams", "sep-2164-resource-not-found", "dns-rebinding-protection", "caching", "http-header-validation",
];

// Single checks in them that it cannot meet, each with the reason. They must be missed: else the entry is old.
const missed = {
  "server-stateless": {
    "sep-2575-server-rejects-undeclared-capability": "needs the tool test_missing_capability",
    "sep-2575-missing-capability-http-400": "needs the tool test_missing_capability",
    "sep-2575-http-server-no-independent-requests-on-stream": "needs the tool test_streaming_elicitation",
    "sep-2575-server-no-log-without-loglevel": "needs the tool test_logging_tool",
    "sep-2575-server-sends-subscription-ack": "its lists never change, and it has no streams to listen on",
    "sep-2575-server-tags-subscription-id": "as above",
    "sep-2575-server-honors-notification-filter": "as above",
    "sep-2575-server-sends-prompts-list-changed-on-subscription": "as above",
    "sep-2575-server-sends-tools-list-changed-on-subscription": "as above",
  },
};

// The one check of all that the suite's own server meets alone and not behind the gate, by revision.
const missedBehind = {
  "2026-07-28": {
    "sep-2575-server-unsupported-version-error":
      "the gate names every revision that passes it, of both eras (HTTP-23); this server tells of the newer one alone in server/discover, and serves both",
  },
};

// Scenarios that are not run, and why.
const others = {
  "sep-2640-skills-directory": "skills are an extension that neither server has",
  "sep-2640-skills-enumeration": "as above",
  "sep-2640-skills-manifest": "as above",
  "tasks-lifecycle": "tasks are an extension that neither server has: it is the server behind that would have to keep them",
  "tasks-capability-negotiation": "as above",
  "tasks-wire-fields": "as above",
  "tasks-request-state-removal": "as above",
  "tasks-mrtr-input": "as above",
  "tasks-request-headers": "as above",
  "tasks-dispatch-and-envelope": "as above",
  "tasks-status-notifications": "as above",
  "tasks-required-task-error": "as above",
  "tasks-mrtr-composition": "as above",
};
const noClient = "every client scenario tests a client, with the suite as its server: anteroom is no MCP client";

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
let sample;
let reference;
const running = [];
before(async () => {
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  const behind = await startReference();
  running.push(behind);
  anteroom = await startAnteroom();
  running.unshift(anteroom);
  sample = await withToken(anteroom);
  const other = await startAnteroom(["--backend", behind.url]);
  running.unshift(other);
  reference = await withToken(other);
});
after(async () => {
  for (const one of running) await one.stop();
});

// Registers a client, and signs a person in with it.
async function signedIn(anteroom) {
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
async function withToken(anteroom) {
  const there = new URL(anteroom.issuer);
  const token = await signedIn(anteroom);
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
  running.unshift({ stop: () => closed(server) });
  return `http://localhost:${server.address().port}/mcp`;
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
function summary(output, scenarios) {
  const single = [...output.matchAll(/^Passed: (\d+)\/(\d+), (\d+) failed, \d+ warnings$/gm)];
  const several = [...output.matchAll(/^[✓✗] (\S+): (\d+) passed, (\d+) failed$/gm)];
  if (scenarios.length === 1) return single.map(([, passed, , failed]) => ({ name: scenarios[0], passed: Number(passed), failed: Number(failed) }));
  return several.map(([, name, passed, failed]) => ({ name, passed: Number(passed), failed: Number(failed) }));
}

// A run is good if all that it says of itself agrees, each of the scenarios has checked something, and nothing but the
// checks of `allowed` went wrong: they must have.
function judge({ code, output, checks }, scenarios, allowed = {}) {
  const told = summary(output, scenarios);
  assert.deepEqual(told.map(({ name }) => name).sort(), scenarios.toSorted(), output);
  for (const { name, passed } of told) assert.ok(passed > 0, `${name} checked nothing:\n${output}`);
  const sum = (member) => told.reduce((total, one) => total + one[member], 0);
  const count = (status) => checks.filter((check) => check.status === status).length;
  assert.deepEqual([sum("passed"), sum("failed")], [count("SUCCESS"), count("FAILURE")], output);
  const bad = checks.filter((check) => !["SUCCESS", "INFO"].includes(check.status));
  assert.deepEqual([...new Set(bad.map((check) => check.id))].sort(), Object.keys(allowed).sort(), JSON.stringify(bad, undefined, 1));
  assert.equal(code, sum("failed") > 0 ? 1 : 0, output);
}

// Revision -> the scenarios of an MCP server in it. What is of no revision is an extension.
const revisions = new Map();
for (const [name, of] of ofServers) {
  for (const revision of of) if (revision !== "extension") revisions.set(revision, [...(revisions.get(revision) ?? []), name]);
}

test("every scenario of the installed suite is run, or there is a reason why not", (context) => {
  const run = new Set([...revisions.values()].flat());
  assert.deepEqual([...run, ...Object.keys(others)].sort(), [...ofServers.keys()].sort(), "run or listed, each once");
  assert.deepEqual(authorizationServer.toSorted(), [...authorization.keys()].sort());
  for (const name of [...anyServer, ...Object.keys(missed)]) assert.ok(run.has(name), name);
  assert.ok(client.size > 0);
  context.diagnostic(`${run.size} of an MCP server, ${authorization.size} of an authorization server; ${noClient}`);
});

for (const [revision, scenarios] of revisions) {
  // @covers HTTP-01, HTTP-02, HTTP-10, HTTP-16, HTTP-20, HTTP-23, HTTP-26
  test(`behind the gate the server of the suite does what it should: ${revision}, ${scenarios.length} of its scenarios`, async () => {
    const of = scenarios.length === 1 ? ["--scenario", scenarios[0]] : ["--suite", "all"];
    judge(await conduct("server", ["--url", reference, ...of, "--spec-version", revision]), scenarios, missedBehind[revision]);
  });
}

// @covers RS-01
test("without the token nothing of it gets through", async () => {
  const { code, checks, output } = await conduct("server", ["--url", anteroom.url, "--scenario", "tools-list", "--spec-version", "2026-07-28"]);
  assert.equal(code, 1, output);
  assert.deepEqual(checks.filter(({ id, status }) => id.startsWith("tools-") && status === "SUCCESS"), []);
  assert.match(output, /401/);
});

for (const name of anyServer) {
  for (const revision of ofServers.get(name) ?? []) {
    test(`the sample server: ${name} of ${revision}`, async () => {
      judge(await conduct("server", ["--url", sample, "--scenario", name, "--spec-version", revision]), [name], missed[name]);
    });
  }
}

// @covers DISC-20, DISC-23, DISC-24, DISC-33
for (const revision of authorization.get("authorization-server-metadata-endpoint")) {
  test(`authorization-server-metadata-endpoint of ${revision}`, async () => {
    const [scenario] = authorizationServer;
    judge(await conduct("authorization", ["--url", anteroom.issuer, "--scenario", scenario, "--spec-version", revision]), [scenario]);
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
      judge(outcome, authorizationServer);
    });
  }
}

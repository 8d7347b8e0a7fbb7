// The flow as a person's browser sees it, and what must not work in it, over plain HTTP against the real program.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { Browser } from "./browser.mjs";
import { startAnteroom } from "./server.mjs";

const redirectUri = "http://127.0.0.1:43210/callback";
// Everything that must never be seen in the log.
const secrets = [];
let server;

before(async () => {
  server = await startAnteroom();
});
after(() => server?.stop());

async function register() {
  const response = await fetch(`${server.issuer}/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ client_name: "Flow", redirect_uris: [redirectUri], token_endpoint_auth_method: "none", grant_types: ["authorization_code", "refresh_token"] }),
  });
  assert.equal(response.status, 201);
  return (await response.json()).client_id;
}

/** A client in the middle of a flow: its id, its verifier and the URL it would open. */
async function begin(extra = {}) {
  const clientId = await register();
  const verifier = randomBytes(32).toString("base64url");
  const url = new URL(`${server.issuer}/authorize`);
  const parameters = {
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    state: randomBytes(16).toString("base64url"),
    resource: server.url,
    ...extra,
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  secrets.push(verifier);
  return { clientId, verifier, url, state: parameters.state };
}

async function token(fields) {
  const response = await fetch(`${server.issuer}/token`, { method: "POST", body: new URLSearchParams(fields) });
  const json = await response.json();
  secrets.push(...[fields.code, fields.refresh_token, json.access_token, json.refresh_token].filter(Boolean));
  return { status: response.status, json };
}

const redeem = (client, code) =>
  token({ grant_type: "authorization_code", code, client_id: client.clientId, code_verifier: client.verifier, redirect_uri: redirectUri, resource: server.url });

const consentPage = async (browser, client) => {
  const page = await browser.open(client.url);
  assert.equal(page.status, 200);
  const form = page.forms.find((candidate) => candidate.buttons.some((button) => button.name === "decision"));
  return { page, form, approve: form.buttons.find((button) => button.value === "github") };
};

// The browser's way to the provider, stopped there.
async function approved(browser, client) {
  const { page, form, approve } = await consentPage(browser, client);
  return browser.press(page, form, approve);
}

// The provider's answer, not yet followed.
async function answerOf(browser, page) {
  const callback = `${server.issuer}/callback/github`;
  for (const form of page.forms) {
    const person = form.buttons.find((button) => /\bmona\b/i.test(`${button.value} ${button.text}`));
    if (person) return (await browser.press(page, form, person, callback)).reached;
    if (form.fields.some(([, value]) => value === "mona")) return (await browser.press(page, form, form.buttons[0], callback)).reached;
  }
  throw new Error(page.text);
}

// @covers CONS-01, CONS-09, AUTHZ-22, AUTHZ-23, AUTHZ-24
test("before anybody agreed there is a page, and nothing has gone to the provider", async () => {
  const browser = new Browser();
  const client = await begin();
  const { page } = await consentPage(browser, client);
  assert.equal(browser.history.length, 1, "the page comes at once, without a detour");
  assert.match(page.headers.get("content-type"), /^text\/html/);
  assert.match(page.headers.get("cache-control"), /no-store/);
  assert.equal(page.headers.get("referrer-policy"), "no-referrer");
  assert.equal(page.headers.get("x-frame-options"), "DENY");
  assert.equal(page.headers.get("x-content-type-options"), "nosniff");
  assert.match(page.headers.get("content-security-policy"), /frame-ancestors 'none'/);
  assert.doesNotMatch(page.headers.get("content-security-policy"), /form-action/);
  assert.equal(page.headers.get("access-control-allow-origin"), null);
  const beforehand = Object.keys(browser.cookies("localhost"));
  await approved(browser, client);
  const afterwards = Object.keys(browser.cookies("localhost"));
  assert.ok(afterwards.some((name) => !beforehand.includes(name)), `the login is bound only now: ${beforehand} then ${afterwards}`);
});

// @covers CONS-03, CONS-04
test("the page says who asks and where the answer goes", async () => {
  const { page } = await consentPage(new Browser(), await begin());
  assert.match(page.text, /Flow/);
  assert.ok(page.text.includes(redirectUri), "the whole redirect URI");
  assert.ok(page.text.includes("127.0.0.1"), "its host");
});

// @covers AUTHZ-16, AUTHZ-19, TOK-06, TOK-10, CONS-28
test("a person who agrees comes back with a code that is worth a token for this server", async () => {
  const browser = new Browser();
  const client = await begin();
  const back = await browser.signIn(client.url, { redirectUri });
  assert.equal(back.searchParams.get("state"), client.state);
  assert.equal(back.searchParams.get("iss"), server.issuer);
  assert.equal(back.hash, "");
  for (const { status } of browser.history) assert.ok(![307, 308].includes(status), "a form is never sent on");
  const { status, json } = await redeem(client, back.searchParams.get("code"));
  assert.equal(status, 200);
  const claims = JSON.parse(Buffer.from(json.access_token.split(".")[1], "base64url"));
  assert.equal([claims.aud].flat()[0], server.url);
  assert.equal(claims.client_id, client.clientId);
  const answer = await fetch(server.url, { method: "GET", headers: { authorization: `Bearer ${json.access_token}`, accept: "text/event-stream" } });
  await answer.body?.cancel();
  assert.notEqual(answer.status, 401);
});

// @covers AUTHZ-18
test("a person who refuses comes back with access_denied, and the provider never hears of it", async () => {
  const browser = new Browser();
  const client = await begin();
  const back = await browser.signIn(client.url, { redirectUri, consent: "deny" });
  assert.equal(back.searchParams.get("error"), "access_denied");
  assert.equal(back.searchParams.get("state"), client.state);
  assert.equal(back.searchParams.get("iss"), server.issuer);
  assert.equal(back.searchParams.get("code"), null);
  assert.ok(browser.history.every((page) => page.url.startsWith(server.issuer)));
});

// @covers CONS-21, AUTHZ-17
test("a person who cancels at the provider comes back with access_denied", async () => {
  const client = await begin();
  const back = await new Browser().signIn(client.url, { redirectUri, as: "cancel" });
  assert.equal(back.searchParams.get("error"), "access_denied");
  assert.equal(back.searchParams.get("state"), client.state);
  assert.equal(back.searchParams.get("iss"), server.issuer);
});

// @covers CONS-11
test("an answer of the provider that reaches another browser is refused and leads nowhere", async () => {
  const [victim, attacker] = [new Browser(), new Browser()];
  const page = await approved(attacker, await begin());
  const answer = await answerOf(attacker, page);
  const stolen = await victim.open(answer, redirectUri);
  assert.equal(stolen.status, 403);
  assert.equal(stolen.headers.get("location"), null);
});

// @covers CONS-10
test("an answer of the provider is good once, and only with the state that was sent", async () => {
  const browser = new Browser();
  const answer = await answerOf(browser, await approved(browser, await begin()));
  const forged = new URL(answer);
  forged.searchParams.set("state", randomBytes(32).toString("base64url"));
  assert.equal((await browser.open(forged.href, redirectUri)).status, 400);
  assert.ok((await browser.open(answer, redirectUri)).reached);
  assert.equal((await browser.open(answer, redirectUri)).status, 400);
});

// @covers CONS-06
test("an approval that does not come from the page of this browser is refused", async () => {
  const client = await begin();
  const { page, form, approve } = await consentPage(new Browser(), client);
  const browser = new Browser();
  // In a browser that knows nothing, in one that has a page of its own open, and without what the page carries.
  assert.equal((await browser.press(page, form, approve)).status, 403);
  const own = await consentPage(browser, client);
  assert.equal((await browser.press(page, form, approve)).status, 403);
  for (const fields of [[], own.form.fields.map(([name]) => [name, "forged"])]) {
    const answer = await browser.press(own.page, { ...own.form, fields }, own.approve, server.standin);
    assert.equal(answer.reached, undefined);
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}`);
  }
});

// @covers CONS-13
test("two logins in two tabs of one browser both arrive", async () => {
  const browser = new Browser();
  const [one, other] = [await begin(), await begin()];
  const first = await approved(browser, one);
  const second = await approved(browser, other);
  for (const [page, client] of [[second, other], [first, one]]) {
    const answer = await answerOf(browser, page);
    const { reached } = await browser.open(answer, redirectUri);
    assert.equal(new URL(reached).searchParams.get("state"), client.state);
    assert.equal((await redeem(client, new URL(reached).searchParams.get("code"))).status, 200);
  }
});

// @covers CONS-24
test("a client that any program on the computer can imitate is never let in without a page", async () => {
  const browser = new Browser();
  const client = await begin();
  await browser.signIn(client.url, { redirectUri });
  const again = await browser.open(client.url, redirectUri);
  assert.equal(again.reached, undefined);
  assert.equal(again.status, 200);
  assert.ok(again.forms.some((form) => form.buttons.some((button) => button.name === "decision")));
});

// @covers AUTHZ-02, AUTHZ-04
test("an answer goes to a registered redirect URI or nowhere", async () => {
  const wrong = ["https://evil.example/cb", "http://127.0.0.1:43210/callback/", "http://localhost:43210/callback", "http://127.0.0.1:43210/callback?x=1", "http://127.0.0.1@evil.example/callback"];
  for (const redirect_uri of wrong) {
    const page = await new Browser().open((await begin({ redirect_uri })).url, redirect_uri);
    assert.equal(page.status, 400, redirect_uri);
    assert.equal(page.headers.get("location"), null);
  }
  const unknown = await new Browser().open((await begin({ client_id: "nobody" })).url, redirectUri);
  assert.equal(unknown.status, 400);
});

// @covers AUTHZ-06
test("a program on this computer may answer at another port than it registered", async () => {
  const elsewhere = "http://127.0.0.1:43999/callback";
  const back = await new Browser().signIn((await begin({ redirect_uri: elsewhere })).url, { redirectUri: elsewhere });
  assert.ok(back.searchParams.get("code"));
});

// @covers TOK-07
test("a code that is used twice ends the session that was made of it", async () => {
  const client = await begin();
  const back = await new Browser().signIn(client.url, { redirectUri });
  const first = await redeem(client, back.searchParams.get("code"));
  assert.equal(first.status, 200);
  const second = await redeem(client, back.searchParams.get("code"));
  assert.deepEqual([second.status, second.json.error], [400, "invalid_grant"]);
  const refused = await fetch(server.url, { method: "POST", headers: { authorization: `Bearer ${first.json.access_token}` } });
  assert.equal(refused.status, 401);
});

// @covers TOK-06
test("a code is worth nothing without the verifier of the client that asked for it", async () => {
  const client = await begin();
  const back = await new Browser().signIn(client.url, { redirectUri });
  const thief = { ...client, verifier: randomBytes(32).toString("base64url") };
  const { status, json } = await redeem(thief, back.searchParams.get("code"));
  assert.deepEqual([status, json.error], [400, "invalid_grant"]);
});

// @covers DISC-13
test("a Host header from outside changes no address the server tells", async () => {
  const { request } = await import("node:http");
  for (const path of ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server", "/mcp"]) {
    const told = await new Promise((resolve, reject) => {
      const port = new URL(server.issuer).port;
      const headers = { host: "evil.example", "x-forwarded-host": "evil.example", forwarded: "host=evil.example" };
      const asked = request({ host: "127.0.0.1", port, path, headers }, (response) => {
        let text = JSON.stringify(response.headers);
        response.on("data", (chunk) => (text += chunk));
        response.on("end", () => resolve(text));
      });
      asked.on("error", reject).end();
    });
    assert.doesNotMatch(told, /evil\.example/, path);
  }
});

// Many clients send the head of a request and its body one after the other, and keep the connection for the next request:
// whoever closes it after an early refusal, without a word, makes them fail at random.
for (const path of ["/mcp", "/register", "/token", "/revoke", "/nowhere"]) {
  test(`a refusal that comes before the whole request has been sent keeps the connection, or says that it ends: ${path}`, async () => {
    const socket = connect(Number(new URL(server.issuer).port), "127.0.0.1").setNoDelay();
    let answers = "";
    socket.on("data", (chunk) => (answers += chunk)).on("error", () => {});
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
    const pause = () => new Promise((resolve) => setTimeout(resolve, 150));
    const host = new URL(server.issuer).host;
    socket.write(`POST ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`);
    await pause();
    socket.write(body);
    await pause();
    assert.match(answers, /^HTTP\/1\.1 4\d\d /);
    if (!/^connection: close\r$/im.test(answers)) {
      answers = "";
      socket.write(`GET /.well-known/oauth-authorization-server HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
      await pause();
      assert.match(answers, /^HTTP\/1\.1 200 /);
    }
    socket.destroy();
  });
}

// @covers SEC-04
test("nothing that opens a door was written to the log", () => {
  assert.ok(secrets.length > 10);
  const log = server.output();
  for (const secret of secrets) assert.ok(!log.includes(secret), "a token, code or verifier stands in the log");
});

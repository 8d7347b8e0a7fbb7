// The clients that people use, each by the requests it is known to send: from the URL of the MCP server to a call of a tool,
// and a refresh after it. What they send is theirs; what they must get for it is ours.
//
// Clients that describe themselves are identified by the URL of a document at their own address, which nobody else can
// publish under. Here the same documents lie on a site of the tests, and their URL there is the client_id.

import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { Browser } from "./browser.mjs";
import { assertion, handshake, staying, steps } from "./persona.mjs";
import { startAnteroom } from "./server.mjs";
import { startSite } from "./site.mjs";
import { basic, challenge, Mcp, pkce, read, register, send } from "./wire.mjs";

const grants = ["authorization_code", "refresh_token"];
let site;
let server;
const { discover, authorize, token, refresh, useTools, revoke } = steps(() => server);
before(async () => {
  site = await startSite();
  server = await startAnteroom(site.arguments);
});
after(async () => {
  await server?.stop();
  await site?.stop();
});

// Publishes a document that names its own place.
function publish(path, members) {
  const document = { client_id: site.origin + path, ...members };
  return site.publish(path, document);
}

// Claude on the web, on the desktop and on phones: Anthropic's servers ask, not the person's machine.
const claude = { redirect: "https://claude.ai/api/mcp/auth_callback", oauth: { "user-agent": "python-httpx/0.28.1" }, mcp: { "user-agent": "Claude-User" } };

// @covers CLI-01, CLI-03, CLI-09, CLI-12, CLI-15, CLI-25, DISC-26, DISC-27, AUTHZ-15
test("claude-cimd: Claude with its metadata document, which names a grant that we do not have", async () => {
  const clientId = publish("/oauth/mcp-oauth-client-metadata", {
    client_name: "Claude",
    client_uri: "https://claude.ai",
    redirect_uris: [claude.redirect, "https://claude.com/api/mcp/auth_callback"],
    grant_types: [...grants, "urn:ietf:params:oauth:grant-type:jwt-bearer"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  });
  const { scope, resource, metadata } = await discover({ headers: claude.oauth });
  assert.equal(metadata.client_id_metadata_document_supported, true);
  assert.ok(metadata.token_endpoint_auth_methods_supported.includes("none"), "without it Claude registers instead");
  const { verifier, challenge: code_challenge } = pkce();
  const answer = await authorize(metadata.authorization_endpoint, {
    response_type: "code", client_id: clientId, redirect_uri: claude.redirect, code_challenge, code_challenge_method: "S256",
    state: randomBytes(32).toString("base64url"), scope: staying(scope, metadata), resource: resource.resource, prompt: "consent",
  });
  const { headers } = site.asked.find(({ path }) => path === "/oauth/mcp-oauth-client-metadata");
  assert.match(headers.accept, /application\/json/);
  assert.deepEqual([headers.cookie, headers.authorization], [undefined, undefined]);
  const redeem = { grant_type: "authorization_code", code: answer, redirect_uri: claude.redirect, client_id: clientId, code_verifier: verifier, resource: resource.resource };
  const tokens = await token(metadata.token_endpoint, redeem, claude.oauth);
  await useTools(tokens, { clientId, headers: claude.mcp });
  const fresh = await refresh(metadata.token_endpoint, tokens, { client_id: clientId, resource: resource.resource }, claude.oauth);
  await revoke(metadata.revocation_endpoint, fresh, { client_id: clientId });
  const dead = await send(metadata.token_endpoint, { form: { grant_type: "refresh_token", refresh_token: fresh.refresh_token, client_id: clientId } });
  assert.deepEqual([dead.status, dead.json.error], [400, "invalid_grant"], "Claude gives a session up for this alone");
});

// @covers AUTHZ-12, CLI-34, CLI-61, TOK-20
test("claude-dcr: Claude registered anew, with a secret in the body and a scope that begins with a space", async () => {
  const { resource, metadata } = await discover({ headers: claude.oauth });
  const registered = await register(metadata.registration_endpoint, {
    client_name: "Claude",
    client_uri: "https://claude.ai",
    redirect_uris: [claude.redirect, "https://claude.com/api/mcp/auth_callback"],
    grant_types: grants,
    response_types: ["code"],
    token_endpoint_auth_method: "client_secret_post",
    // seen with servers that have never heard of it
    scope: "claudeai",
  }, claude.oauth);
  assert.equal(registered.redirect_uris.length, 2);
  const { client_id, client_secret } = registered;
  assert.ok(client_secret && registered.client_secret_expires_at === 0);
  const { verifier, challenge: code_challenge } = pkce();
  const answer = await authorize(metadata.authorization_endpoint, {
    response_type: "code", client_id, redirect_uri: claude.redirect, code_challenge, code_challenge_method: "S256",
    state: randomBytes(32).toString("base64url"), scope: " offline_access", resource: resource.resource, prompt: "consent",
  });
  const proof = { client_id, client_secret };
  const redeem = { grant_type: "authorization_code", code: answer, redirect_uri: claude.redirect, code_verifier: verifier, resource: resource.resource };
  const nobody = await send(metadata.token_endpoint, { form: { ...redeem, client_id }, headers: claude.oauth });
  assert.deepEqual([nobody.status, nobody.json.error], [401, "invalid_client"]);
  const tokens = await token(metadata.token_endpoint, { ...redeem, ...proof }, claude.oauth);
  assert.ok(tokens.scope.split(" ").includes("mcp:tools:execute"), `who asks to stay wants the usual as well: ${tokens.scope}`);
  await useTools(tokens, { clientId: client_id, headers: claude.mcp });
  const fresh = await refresh(metadata.token_endpoint, tokens, { ...proof, resource: resource.resource }, claude.oauth);
  await revoke(metadata.revocation_endpoint, fresh, proof);
});

// @covers AUTHZ-06, AUTHZ-14, HTTP-01
test("claude-code: a document without a port, a port of the moment, no scope, and the newest revision first", async () => {
  const clientId = publish("/oauth/claude-code-client-metadata", {
    client_name: "Claude Code",
    client_uri: "https://claude.ai",
    redirect_uris: ["http://localhost/callback", "http://127.0.0.1/callback"],
    grant_types: grants,
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  });
  const redirect_uri = "http://localhost:49211/callback";
  const { resource, metadata } = await discover({ revision: "2026-07-28" });
  const { verifier, challenge: code_challenge } = pkce();
  const answer = await authorize(metadata.authorization_endpoint, {
    response_type: "code", client_id: clientId, code_challenge, code_challenge_method: "S256", redirect_uri,
    state: randomBytes(32).toString("base64url"), resource: resource.resource,
  });
  const redeem = { grant_type: "authorization_code", code: answer, code_verifier: verifier, redirect_uri, client_id: clientId, resource: resource.resource };
  const tokens = await token(metadata.token_endpoint, redeem);
  assert.deepEqual(tokens.scope.split(" ").sort(), resource.scopes_supported.toSorted(), "nothing asked for is the default");
  await useTools(tokens, { clientId, revision: "2026-07-28" });
  await useTools(tokens, { clientId, revision: "2025-11-25" });
  await refresh(metadata.token_endpoint, tokens, { client_id: clientId, resource: resource.resource });
});

// @covers CLI-13, CLI-14, TOK-25, DISC-28, DISC-30, DISC-32
test("chatgpt: a document with two ways to prove itself, and an assertion signed with a key that it publishes", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const kid = randomUUID();
  const jwks_uri = site.publish("/oauth/jwks.json", { keys: [{ ...publicKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" }] });
  const redirect_uri = "https://chatgpt.com/connector_platform_oauth_redirect";
  const clientId = publish("/oauth/client.json", {
    client_name: "ChatGPT",
    client_uri: "https://chatgpt.com",
    redirect_uris: [redirect_uri],
    grant_types: grants,
    response_types: ["code"],
    token_endpoint_auth_method: "private_key_jwt",
    token_endpoint_auth_methods_supported: ["none", "private_key_jwt"],
    token_endpoint_auth_signing_alg: "RS256",
    jwks_uri,
  });
  const { scope, resource, metadata } = await discover();
  assert.equal(metadata.authorization_response_iss_parameter_supported, true, "else another document and another redirect URI");
  assert.ok(metadata.token_endpoint_auth_methods_supported.includes("private_key_jwt"));
  assert.ok(metadata.token_endpoint_auth_signing_alg_values_supported.includes("RS256"));
  for (const name of ["openid", "email", "profile"]) assert.ok(!metadata.scopes_supported.includes(name), "ChatGPT would ask for it");
  const { verifier, challenge: code_challenge } = pkce();
  const answer = await authorize(metadata.authorization_endpoint, {
    response_type: "code", client_id: clientId, redirect_uri, state: `oauth_s_${randomBytes(16).toString("hex")}`,
    scope, code_challenge, code_challenge_method: "S256", resource: resource.resource,
  });

  const proof = (key = privateKey) => assertion({ clientId, audience: metadata.issuer, kid, key });
  const redeem = { grant_type: "authorization_code", client_id: clientId, code: answer, redirect_uri, code_verifier: verifier, resource: resource.resource };
  const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  const forged = await send(metadata.token_endpoint, { form: { ...redeem, ...proof(stranger) } });
  assert.deepEqual([forged.status, forged.json.error], [401, "invalid_client"]);
  const once = proof();
  const tokens = await token(metadata.token_endpoint, { ...redeem, ...once });
  await useTools(tokens, { clientId });
  const replayed = await send(metadata.token_endpoint, { form: { grant_type: "refresh_token", refresh_token: tokens.refresh_token, client_id: clientId, ...once } });
  assert.deepEqual([replayed.status, replayed.json.error], [401, "invalid_client"], "an assertion is good once");
  const fresh = await refresh(metadata.token_endpoint, tokens, { client_id: clientId, resource: resource.resource, ...proof() });
  const again = await refresh(metadata.token_endpoint, fresh, { client_id: clientId, resource: resource.resource });
  await revoke(metadata.revocation_endpoint, again, { client_id: clientId, ...proof() });
});

// @covers AUTHZ-06, AUTHZ-09, CLI-12, CLI-31, CLI-34, CLI-35, CLI-41
test("vscode-dcr: four redirect URIs, a grant that we do not have, and a state that double decoding would break", async () => {
  const { scope, resource, metadata } = await discover();
  const registered = await register(metadata.registration_endpoint, {
    client_name: "Visual Studio Code",
    client_uri: "https://code.visualstudio.com",
    grant_types: [...grants, "urn:ietf:params:oauth:grant-type:device_code"],
    response_types: ["code"],
    redirect_uris: ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/"],
    scope,
    token_endpoint_auth_method: "none",
    application_type: "native",
  });
  const { client_id } = registered;
  assert.deepEqual(registered.redirect_uris, ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/"]);
  assert.deepEqual(registered.grant_types, grants);
  assert.equal(registered.client_secret, undefined);
  // Its own port, any other where that one is taken, and the page that hands over to the editor.
  for (const redirect_uri of ["http://127.0.0.1:33418/", "http://127.0.0.1:51873/", "https://vscode.dev/redirect"]) {
    const { verifier, challenge: code_challenge } = pkce();
    const answer = await authorize(metadata.authorization_endpoint, {
      client_id, response_type: "code", code_challenge, code_challenge_method: "S256", scope,
      resource: resource.resource, redirect_uri, state: "gXVXo0/c+6bnHVOnxf2sEA==",
    });
    const redeem = { client_id, grant_type: "authorization_code", code: answer, redirect_uri, code_verifier: verifier, resource: resource.resource };
    const tokens = await token(metadata.token_endpoint, redeem, { accept: "application/json" });
    await useTools(tokens, { clientId: client_id });
    await refresh(metadata.token_endpoint, tokens, { client_id, resource: resource.resource }, { accept: "application/json" });
  }
});

// @covers AUTHZ-11, TOK-21, TOK-23, DISC-10
test("codex: the resource twice, a scope at the refresh, and Basic although it registered for the body", async () => {
  const { scope, resource, metadata } = await discover({ revision: "2025-06-18" });
  assert.equal(new URL(metadata.token_endpoint).origin, new URL(server.url).origin);
  const documented = publish("/oauth/codex/client.json", {
    client_name: "Codex",
    client_uri: "https://chatgpt.com/codex",
    redirect_uris: ["http://127.0.0.1/callback", "http://localhost/callback"],
    grant_types: grants,
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  });
  const redirect_uri = "http://127.0.0.1:52011/callback";
  const registered = await register(metadata.registration_endpoint, {
    client_name: "Codex", redirect_uris: [redirect_uri], grant_types: grants, response_types: ["code"], token_endpoint_auth_method: "client_secret_post",
  });
  const { client_id, client_secret } = registered;
  const ways = [
    { clientId: documented, fields: { client_id: documented }, headers: {} },
    { clientId: client_id, fields: {}, headers: { authorization: basic(client_id, client_secret) } },
  ];
  const wanted = staying(scope, metadata);
  for (const { clientId, fields, headers } of ways) {
    const { verifier, challenge: code_challenge } = pkce();
    const answer = await authorize(metadata.authorization_endpoint, [
      ["response_type", "code"], ["client_id", clientId], ["state", randomBytes(16).toString("base64url")], ["code_challenge", code_challenge],
      ["code_challenge_method", "S256"], ["redirect_uri", redirect_uri], ["scope", wanted],
      ["resource", resource.resource], ["resource", resource.resource],
    ]);
    const redeem = [
      ["grant_type", "authorization_code"], ["code", answer], ["code_verifier", verifier], ...Object.entries(fields),
      ["redirect_uri", redirect_uri], ["resource", resource.resource], ["resource", resource.resource],
    ];
    const tokens = await token(metadata.token_endpoint, redeem, headers);
    await useTools(tokens, { clientId, revision: "2025-06-18" });
    const fresh = await refresh(metadata.token_endpoint, tokens, { ...fields, scope: wanted, resource: resource.resource }, headers);
    // Some versions leave the resource out.
    const again = await refresh(metadata.token_endpoint, fresh, { ...fields, scope: wanted }, headers);
    await revoke(metadata.revocation_endpoint, again, fields, headers);
  }
});

// @covers CLI-37, AUTHZ-09, AUTHZ-25
test("cursor: an https, a loopback and a private redirect URI at once, no state, and a page with a button back to the app", async () => {
  const app = "cursor://anysphere.cursor-mcp/oauth/callback";
  const loopback = "http://localhost:8787/callback";
  const { scope, resource, metadata } = await discover();
  const registered = await register(metadata.registration_endpoint, {
    client_name: "Cursor",
    redirect_uris: ["https://www.cursor.com/agents/mcp/oauth/callback", loopback, app],
    grant_types: grants,
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  });
  const { client_id } = registered;
  assert.deepEqual(registered.redirect_uris, ["https://www.cursor.com/agents/mcp/oauth/callback", loopback, app]);
  for (const redirect_uri of [loopback, app]) {
    const { verifier, challenge: code_challenge } = pkce();
    const browser = new Browser();
    const answer = await authorize(metadata.authorization_endpoint, {
      response_type: "code", client_id, code_challenge, code_challenge_method: "S256", redirect_uri, scope, resource: resource.resource,
    }, { browser });
    const last = browser.history.at(-1);
    assert.equal(last.status, redirect_uri === app ? 200 : 303, "a redirect alone would leave a blank window behind");
    if (redirect_uri === app) {
      assert.match(last.text, /<a class="go" href="cursor:[^>]*>Return to /);
      assert.match(last.headers.get("cache-control"), /no-store/);
    }
    const redeem = { grant_type: "authorization_code", code: answer, code_verifier: verifier, redirect_uri, client_id, resource: resource.resource };
    const tokens = await token(metadata.token_endpoint, redeem);
    await useTools(tokens, { clientId: client_id });
    await refresh(metadata.token_endpoint, tokens, { client_id, resource: resource.resource });
  }
});

// @covers CLI-40, CORS-01, CORS-02, CORS-03, CORS-04, CORS-05, CORS-07
test("inspector: everything from a page of a browser, with a preflight before what needs one", async () => {
  const page = { origin: "http://localhost:6274", "sec-fetch-mode": "cors" };
  // Asks before, as a browser does, and hides from the page what it may not read.
  const fetched = async (url, { method = "GET", headers = {}, ...rest } = {}) => {
    const simple = ["accept", "content-type"];
    const named = Object.keys(headers).filter((name) => !simple.includes(name)).concat(rest.json ? ["content-type"] : []);
    if (named.length > 0) {
      const asked = { "access-control-request-method": method, "access-control-request-headers": named.toSorted().join(",") };
      const preflight = await send(url, { method: "OPTIONS", headers: { ...page, ...asked } });
      assert.ok(preflight.status >= 200 && preflight.status < 300, `${url}: ${preflight.status}`);
      assert.ok(["*", page.origin].includes(preflight.headers.get("access-control-allow-origin")), url);
      const allowed = preflight.headers.get("access-control-allow-headers").toLowerCase().split(/,\s*/);
      for (const name of named) assert.ok(allowed.includes(name), `${url}: ${name} is not among ${allowed}`);
    }
    const answer = await send(url, { method, headers: { ...headers, ...page }, ...rest });
    assert.ok(["*", page.origin].includes(answer.headers.get("access-control-allow-origin")), `${url} cannot be read by the page`);
    assert.equal(answer.headers.get("access-control-allow-credentials"), null);
    return answer;
  };
  const versioned = { "mcp-protocol-version": "2025-11-25" };

  const opening = { jsonrpc: "2.0", id: 0, method: "initialize", params: handshake("2025-11-25") };
  const accept = "application/json, text/event-stream";
  const refused = await fetched(server.url, { method: "POST", headers: { accept }, json: opening });
  assert.equal(refused.status, 401);
  assert.match(refused.headers.get("access-control-expose-headers"), /www-authenticate/i);
  const { json: resource } = await fetched(challenge(refused).resource_metadata, { headers: versioned });
  const { json: metadata } = await fetched(`${resource.authorization_servers[0]}/.well-known/oauth-authorization-server`, { headers: versioned });
  const redirect_uri = "http://localhost:6274/oauth/callback";
  const asked = {
    redirect_uris: [redirect_uri], token_endpoint_auth_method: "none", grant_types: grants, response_types: ["code"],
    client_name: "MCP Inspector", client_uri: "https://github.com/modelcontextprotocol/inspector", scope: "", application_type: "native",
  };
  const registered = await fetched(metadata.registration_endpoint, { method: "POST", headers: { accept: "application/json" }, json: asked });
  assert.equal(registered.status, 201, registered.text);
  const { client_id } = registered.json;
  const { verifier, challenge: code_challenge } = pkce();
  const answer = await authorize(metadata.authorization_endpoint, {
    response_type: "code", client_id, code_challenge, code_challenge_method: "S256", redirect_uri,
    state: randomBytes(32).toString("hex"), resource: resource.resource,
  });
  const redeem = { grant_type: "authorization_code", code: answer, code_verifier: verifier, redirect_uri, client_id, resource: resource.resource };
  const { status, json: tokens } = await fetched(metadata.token_endpoint, { method: "POST", headers: { accept: "application/json" }, form: redeem });
  assert.equal(status, 200);

  const authorization = `Bearer ${tokens.access_token}`;
  const opened = await fetched(server.url, { method: "POST", headers: { accept, authorization }, json: opening });
  assert.equal(opened.status, 200);
  assert.match(opened.headers.get("access-control-expose-headers"), /mcp-session-id/i);
  const headers = { accept, authorization, ...versioned, "mcp-session-id": opened.headers.get("mcp-session-id") };
  const listed = await fetched(server.url, { method: "POST", headers, json: { jsonrpc: "2.0", id: 1, method: "tools/list", params: {} } });
  assert.match(listed.text, /"whoami"/);
  await fetched(server.url, { method: "DELETE", headers });
  await useTools(tokens, { clientId: client_id, headers: page });
  const again = { grant_type: "refresh_token", refresh_token: tokens.refresh_token, client_id, resource: resource.resource };
  const { json: fresh } = await fetched(metadata.token_endpoint, { method: "POST", headers: { accept: "application/json" }, form: again });
  await useTools(fresh, { clientId: client_id, headers: page });
});

// @covers AUTHZ-13, CLI-40
test("mcp-remote-old: the scopes of OpenID, which nobody here has, are the usual ones", async () => {
  const redirect_uri = "http://localhost:14637/oauth/callback";
  const { resource, metadata } = await discover({ revision: "2025-06-18" });
  const { client_id } = await register(metadata.registration_endpoint, {
    redirect_uris: [redirect_uri],
    token_endpoint_auth_method: "none",
    grant_types: grants,
    response_types: ["code"],
    client_name: "MCP CLI Proxy",
    client_uri: "https://github.com/modelcontextprotocol/mcp-cli",
    software_id: "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d",
    software_version: "0.1.38",
    scope: "openid email profile",
  });
  const { verifier, challenge: code_challenge } = pkce();
  const answer = await authorize(metadata.authorization_endpoint, {
    response_type: "code", client_id, code_challenge, code_challenge_method: "S256", redirect_uri,
    state: randomUUID(), resource: resource.resource, scope: "openid email profile",
  });
  const redeem = { grant_type: "authorization_code", code: answer, code_verifier: verifier, redirect_uri, client_id, resource: resource.resource };
  const tokens = await token(metadata.token_endpoint, redeem);
  assert.deepEqual(tokens.scope.split(" ").sort(), resource.scopes_supported.toSorted(), "the answer says what was granted instead");
  await useTools(tokens, { clientId: client_id, revision: "2025-06-18" });
  await refresh(metadata.token_endpoint, tokens, { client_id, resource: resource.resource });
});

// @covers CLI-40, TOK-09
test("gemini: an empty scope at registration, and the resource at every step", async () => {
  const redirect_uri = "http://localhost:7777/oauth/callback";
  const { scope, resource, metadata } = await discover();
  const registered = await register(metadata.registration_endpoint, {
    client_name: "Gemini CLI MCP Client", redirect_uris: [redirect_uri], grant_types: grants, response_types: ["code"], token_endpoint_auth_method: "none", scope: "",
  });
  const { client_id } = registered;
  assert.notEqual(registered.scope, "");
  const { verifier, challenge: code_challenge } = pkce();
  const answer = await authorize(metadata.authorization_endpoint, {
    client_id, response_type: "code", redirect_uri, state: randomBytes(16).toString("base64url"), code_challenge, code_challenge_method: "S256",
    scope, resource: resource.resource,
  });
  const redeem = { grant_type: "authorization_code", code: answer, redirect_uri, code_verifier: verifier, client_id, resource: resource.resource };
  const tokens = await token(metadata.token_endpoint, redeem, { accept: "application/json, application/x-www-form-urlencoded" });
  await useTools(tokens, { clientId: client_id });
  await refresh(metadata.token_endpoint, tokens, { client_id, resource: resource.resource });
  const elsewhere = { grant_type: "refresh_token", refresh_token: tokens.refresh_token, client_id, resource: "https://evil.example/mcp" };
  assert.equal((await send(metadata.token_endpoint, { form: elsewhere })).status, 400);
});

// @covers DISC-35, DISC-36, AUTHZ-10, HTTP-02
test("legacy-0326: a client of 2025-03-26 finds everything at the places that its revision fell back to", async () => {
  const opening = new Mcp(server.url, { revision: "2025-03-26" });
  const refused = await opening.post("initialize", handshake("2025-03-26"));
  assert.equal(refused.status, 401, "all that it looks at is the status");
  const base = new URL(server.url).origin;
  const metadata = await read(`${base}/.well-known/oauth-authorization-server`, { "mcp-protocol-version": "2025-03-26" });
  const places = { authorization_endpoint: `${base}/authorize`, token_endpoint: `${base}/token`, registration_endpoint: `${base}/register` };
  for (const [member, place] of Object.entries(places)) assert.equal(metadata[member], place);
  const redirect_uri = "http://127.0.0.1:3334/oauth/callback";
  const { client_id } = await register(places.registration_endpoint, {
    client_name: "A client of 2025-03-26", redirect_uris: [redirect_uri], grant_types: grants, response_types: ["code"], token_endpoint_auth_method: "none",
  });
  const { verifier, challenge: code_challenge } = pkce();
  const answer = await authorize(places.authorization_endpoint, {
    response_type: "code", client_id, code_challenge, code_challenge_method: "S256", redirect_uri,
  });
  const tokens = await token(places.token_endpoint, { grant_type: "authorization_code", client_id, code: answer, code_verifier: verifier, redirect_uri });
  await useTools(tokens, { clientId: client_id, revision: "2025-03-26" });
  await refresh(places.token_endpoint, tokens, { client_id });
});

// @covers AUTHZ-10, AUTHZ-14
test("conformance: the client of the official suite, which is given its id, and asks for no scope and no resource", async () => {
  const redirect_uri = "http://127.0.0.1:3000/callback";
  const { metadata } = await discover();
  const given = await register(metadata.registration_endpoint, { redirect_uris: [redirect_uri], token_endpoint_auth_method: "none", grant_types: grants });
  const { client_id } = given;
  const { verifier, challenge: code_challenge } = pkce();
  const answer = await authorize(metadata.authorization_endpoint, {
    response_type: "code", client_id, state: randomBytes(32).toString("base64url"), redirect_uri, code_challenge, code_challenge_method: "S256",
  });
  const tokens = await token(metadata.token_endpoint, { grant_type: "authorization_code", code: answer, redirect_uri, code_verifier: verifier, client_id });
  await useTools(tokens, { clientId: client_id });
  await refresh(metadata.token_endpoint, tokens, { client_id });
});

// @covers A6, AUTHZ-02, AUTHZ-03, AUTHZ-04, CLI-36, CLI-38, CONS-01, CONS-04, CONS-06, CONS-24
test("attacker-dcr: whoever registers a client of their own gets neither a redirect nor a code out of somebody else", async () => {
  const evil = "https://evil.example/cb";
  const { scope, resource, metadata } = await discover();
  const nowhere = [
    "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://evil.example/cb", "http://localhost.evil.example/cb",
    "http://127.0.0.1.nip.io/cb", "http://localhost@evil.example/cb", "http://localhost:80@evil.example/", "https://evil.example/cb#x", "https://*.evil.example/cb",
  ];
  for (const redirect of nowhere) {
    const refused = await send(metadata.registration_endpoint, { json: { client_name: "x", redirect_uris: [redirect], token_endpoint_auth_method: "none" } });
    assert.deepEqual([refused.status, refused.json?.error], [400, "invalid_redirect_uri"], redirect);
  }

  // The victim signed in a moment ago, with a client of theirs, and their browser remembers all that it was told to.
  const victim = new Browser();
  const own = "http://127.0.0.1:43211/callback";
  const honest = await register(metadata.registration_endpoint, { client_name: "Honest", redirect_uris: [own], token_endpoint_auth_method: "none", grant_types: grants });
  const request = (changes = {}) => {
    const { challenge: code_challenge } = pkce();
    const parameters = {
      response_type: "code", client_id: attacker.client_id, redirect_uri: evil, code_challenge, code_challenge_method: "S256",
      state: "x", scope, resource: resource.resource, ...changes,
    };
    const sent = Object.entries(parameters).filter(([, value]) => value !== undefined);
    return `${metadata.authorization_endpoint}?${new URLSearchParams(sent)}`;
  };
  const attacker = await register(metadata.registration_endpoint, { client_name: "Claude", redirect_uris: [evil], token_endpoint_auth_method: "none", grant_types: grants });
  assert.ok((await victim.signIn(request({ client_id: honest.client_id, redirect_uri: own }), { redirectUri: own })).searchParams.get("code"));

  // Answers that are lured to another place than the one registered.
  for (const redirect_uri of ["https://evil.example/other", `${evil}/`, `${evil}?x=1`, "https://evil.example:444/cb", own]) {
    const page = await victim.open(request({ redirect_uri }));
    assert.equal(page.status, 400, redirect_uri);
    assert.equal(page.headers.get("location"), null);
  }
  const stolen = await victim.open(request({ client_id: honest.client_id }));
  assert.deepEqual([stolen.status, stolen.headers.get("location")], [400, null], "the client of somebody else");

  // Errors that are forced, so that our address leads to theirs.
  const forced = [
    { scope: "bogus" }, { response_type: "token" }, { response_type: undefined }, { code_challenge: undefined }, { code_challenge_method: "plain" },
    { resource: "https://evil.example/mcp" }, { prompt: "none" }, { response_mode: "fragment" }, { request: "x" }, { request_uri: "https://evil.example/r" },
  ];
  for (const changes of forced) {
    const page = await victim.open(request(changes), evil);
    assert.equal(page.reached, undefined, `${JSON.stringify(changes)} is an open redirect`);
    assert.ok([400, 403].includes(page.status), `${JSON.stringify(changes)}: ${page.status}`);
    assert.doesNotMatch(page.text, /http-equiv="?refresh|<script/i);
  }

  // The good request: there is a page, whoever is signed in and whatever they agreed to, and it says where the answer would go.
  const fooled = await victim.signIn(request(), { redirectUri: evil });
  assert.ok(fooled.searchParams.get("code"), "nobody can save a person who presses the button");
  for (const prompt of [undefined, "login", "select_account"]) {
    const page = await victim.open(request({ prompt }), evil);
    assert.equal(page.reached, undefined, "a code without a question");
    assert.equal(page.status, 200);
    assert.ok(page.url.startsWith(server.issuer), "the provider is not asked before the person is");
    assert.ok(page.text.includes("evil.example"), "the person sees where the answer goes");
    assert.match(page.text, /not verified/i);
    const form = page.forms.find(({ buttons }) => buttons.some(({ name }) => name === "decision"));
    const approve = form.buttons.find(({ value }) => value !== "deny");
    // The approval cannot be sent by another page, nor from a browser that never saw this one.
    const blind = await victim.press({ url: "https://evil.example/" }, { ...form, action: new URL(form.action, page.url).href, fields: [] }, approve, evil);
    assert.ok(blind.status >= 400 && blind.status < 500 && !blind.reached, String(blind.status));
    const elsewhere = await new Browser().press(page, form, approve, evil);
    assert.ok(elsewhere.status >= 400 && elsewhere.status < 500 && !elsewhere.reached, String(elsewhere.status));
  }
});

// The way that every client goes, step by step, with what is checked at each: for clients that differ in what they send.

import assert from "node:assert/strict";
import { randomUUID, sign } from "node:crypto";
import { Browser } from "./browser.mjs";
import { challenge, claims, Mcp, read, send } from "./wire.mjs";

/** The opening of a connection before 2026-07-28. */
export const handshake = (protocolVersion) => ({ protocolVersion, capabilities: {}, clientInfo: { name: "persona", version: "1" } });

/** What a client asks for that adds offline_access where the authorization server lists it. */
export const staying = (scope, { scopes_supported }) => (scopes_supported.includes("offline_access") ? `${scope} offline_access` : scope);

/** An assertion by which a client proves itself to an authorization server (RFC 7523 §2.2), good once and for five minutes. */
export function assertion({ clientId, audience, kid, key }) {
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: "RS256", typ: "JWT", kid };
  const payload = { iss: clientId, sub: clientId, aud: audience, jti: randomUUID(), iat: now, exp: now + 300 };
  const text = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return {
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: `${text}.${sign("sha256", Buffer.from(text), key).toString("base64url")}`,
  };
}

/** The steps at a server, which `server()` names when they are taken. */
export function steps(server) {
  // From the MCP URL alone to the metadata, by the challenge, as every client since 2025-06-18 does it.
  async function discover({ revision = "2025-11-25", headers = {} } = {}) {
    const opening = new Mcp(server().url, { revision, headers });
    const refused = await opening.post(opening.isModern ? "server/discover" : "initialize", opening.isModern ? {} : handshake(revision));
    assert.equal(refused.status, 401, "a challenge is one by its status, for the handshake as well");
    const { resource_metadata, scope, error } = challenge(refused);
    assert.equal(error, undefined);
    const asked = { "mcp-protocol-version": revision, ...headers };
    const resource = await read(resource_metadata, asked);
    assert.equal(resource.resource, server().url, "the resource is the URL as it was typed");
    const [issuer] = resource.authorization_servers;
    const metadata = await read(`${issuer}/.well-known/oauth-authorization-server`, asked);
    assert.equal(metadata.issuer, issuer);
    assert.ok(metadata.code_challenge_methods_supported.includes("S256"));
    for (const document of [resource, metadata]) assert.ok(!Object.values(document).includes(null), "a null makes the TypeScript SDK stop");
    return { scope, resource, metadata };
  }

  // The person's part. `parameters` are the client's, as pairs, so that one can stand twice; the answer is checked as clients do.
  async function authorize(endpoint, parameters, { as = "mona", browser = new Browser() } = {}) {
    const pairs = Array.isArray(parameters) ? parameters : Object.entries(parameters);
    const { redirect_uri, state } = Object.fromEntries(pairs);
    const back = await browser.signIn(`${endpoint}?${new URLSearchParams(pairs)}`, { redirectUri: redirect_uri, as });
    const answer = back.searchParams;
    assert.equal(answer.get("error"), null, String(answer));
    assert.equal(answer.get("state"), state ?? null);
    assert.equal(answer.get("iss"), server().issuer);
    assert.deepEqual([...answer.keys()].sort(), state === undefined ? ["code", "iss"] : ["code", "iss", "state"], "each once, and nothing else");
    return answer.get("code");
  }

  async function token(endpoint, form, headers = {}) {
    const answer = await send(endpoint, { form, headers });
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers.get("cache-control"), /no-store/);
    const { json } = answer;
    assert.equal(json.token_type, "Bearer");
    assert.ok(Number.isInteger(json.expires_in) && json.expires_in > 0, "Claude Code needs it");
    assert.ok(json.access_token && json.refresh_token && json.scope, answer.text);
    assert.ok(!Object.values(json).includes(null), answer.text);
    return json;
  }

  // Refreshes, and sees to it that the new tokens are new, for the same, and good.
  async function refresh(endpoint, old, form, headers = {}) {
    const fresh = await token(endpoint, { grant_type: "refresh_token", refresh_token: old.refresh_token, ...form }, headers);
    assert.notEqual(fresh.access_token, old.access_token);
    assert.notEqual(fresh.refresh_token, old.refresh_token);
    assert.equal(fresh.scope, old.scope);
    await useTools(fresh);
    return fresh;
  }

  // What all of it was for: the tools are there, and the server behind knows who calls, and by which client.
  async function useTools(tokens, { revision = "2025-11-25", headers = {}, as = "mona", clientId = claims(tokens.access_token).client_id } = {}) {
    assert.equal(claims(tokens.access_token).client_id, clientId);
    assert.equal([claims(tokens.access_token).aud].flat().join(), server().url);
    const mcp = new Mcp(server().url, { revision, token: tokens.access_token, headers });
    await mcp.open();
    const { tools } = await mcp.call("tools/list");
    assert.ok(tools.some((tool) => tool.name === "whoami"), JSON.stringify(tools));
    const { structuredContent: told } = await mcp.call("tools/call", { name: "whoami", arguments: {} });
    assert.deepEqual([told.login, told.client_id], [as, clientId]);
  }

  // The end of a session by RFC 7009. None of the clients is known to ask for it; each way to prove oneself works there too.
  async function revoke(endpoint, tokens, form, headers = {}) {
    const answer = await send(endpoint, { form: { token: tokens.refresh_token, token_type_hint: "refresh_token", ...form }, headers });
    assert.deepEqual([answer.status, answer.text], [200, ""]);
    const refused = await new Mcp(server().url, { revision: "2025-11-25", token: tokens.access_token }).post("initialize", handshake("2025-11-25"));
    assert.equal(refused.status, 401);
    assert.equal(challenge(refused).error, "invalid_token");
  }

  return { discover, authorize, token, refresh, useTools, revoke };
}

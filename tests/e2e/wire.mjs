// An MCP client by hand: each request as it goes over the wire, with nothing followed, corrected or added by a library.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";

/** Sends a request and reads the answer whole. `form` and `json` are bodies; a redirect is not followed. */
export async function send(url, { method, headers = {}, form, json } = {}) {
  const body = form ? new URLSearchParams(form) : json && JSON.stringify(json);
  const type = json && { "content-type": "application/json" };
  const response = await fetch(url, { method: method ?? (body ? "POST" : "GET"), headers: { ...type, ...headers }, body, redirect: "manual" });
  const text = await response.text();
  const isJson = /^application\/json/.test(response.headers.get("content-type") ?? "");
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
}

/** The document at `url`, which must be there and be JSON. */
export async function read(url, headers = {}) {
  const answer = await send(url, { headers: { accept: "application/json", ...headers } });
  assert.equal(answer.status, 200, `${url}\n${answer.text}`);
  assert.ok(answer.json, `${url} is not JSON: ${answer.text}`);
  return answer.json;
}

/** A registration that must be accepted. */
export async function register(endpoint, metadata, headers = {}) {
  const answer = await send(endpoint, { json: metadata, headers });
  assert.equal(answer.status, 201, answer.text);
  for (const member of ["client_id", "client_id_issued_at", "redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method"]) {
    assert.ok(answer.json[member], `${member} is missing: ${answer.text}`);
  }
  assert.ok(!Object.values(answer.json).includes(null), answer.text);
  return answer.json;
}

/** A verifier, and its challenge (RFC 7636). */
export function pkce() {
  const verifier = randomBytes(32).toString("base64url");
  return { verifier, challenge: createHash("sha256").update(verifier).digest("base64url") };
}

/** The members of a challenge: `Bearer a="b", c="d"`. */
export function challenge(answer) {
  const header = answer.headers.get("www-authenticate") ?? "";
  assert.match(header, /^Bearer /);
  const members = [...header.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]);
  assert.equal(new Set(members.map(([name]) => name)).size, members.length, `a member stands twice: ${header}`);
  return Object.fromEntries(members);
}

/** `Basic` with both parts form-encoded (RFC 6749 §2.3.1). */
export const basic = (id, secret) => `Basic ${Buffer.from([id, secret].map(encodeURIComponent).join(":")).toString("base64")}`;

/** The claims of an access token, as nobody but a test should read them. */
export const claims = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));

/** Calls an MCP server as one client does: revision, token, and what it adds to each request. */
export class Mcp {
  #id = 0;
  #session = {};

  constructor(url, { revision, token, headers = {} }) {
    Object.assign(this, { url, revision, token, headers });
  }

  get isModern() {
    return this.revision >= "2026-07-28";
  }

  /** Opens the connection in the way of its revision: a handshake, or a look at what there is. */
  async open() {
    if (this.isModern) {
      const { supportedVersions } = await this.call("server/discover");
      assert.ok(supportedVersions.includes(this.revision), JSON.stringify(supportedVersions));
      return;
    }
    const answer = await this.post("initialize", { protocolVersion: this.revision, capabilities: {}, clientInfo: { name: "persona", version: "1" } });
    const { protocolVersion } = result(answer);
    assert.equal(protocolVersion, this.revision);
    const session = answer.headers.get("mcp-session-id");
    if (session) this.#session = { "mcp-session-id": session };
    const told = await send(this.url, { json: { jsonrpc: "2.0", method: "notifications/initialized" }, headers: this.#headers() });
    assert.equal(told.status, 202, told.text);
  }

  /** The result of a request. */
  call = async (method, params = {}) => result(await this.post(method, params));

  /** A request, and whatever comes back. */
  post(method, params = {}) {
    this.#id += 1;
    const mirrored = this.isModern ? { "mcp-method": method, ...(params.name && { "mcp-name": params.name }) } : {};
    const meta = this.isModern && { _meta: { "io.modelcontextprotocol/protocolVersion": this.revision, "io.modelcontextprotocol/clientCapabilities": {} } };
    const json = { jsonrpc: "2.0", id: this.#id, method, params: { ...params, ...meta } };
    return send(this.url, { json, headers: { ...this.#headers(method), ...mirrored } });
  }

  #headers(method) {
    const authorization = this.token && { authorization: `Bearer ${this.token}` };
    // The first revision has no such header, and the handshake finds out which one to send.
    const version = this.revision > "2025-03-26" && (this.isModern || method !== "initialize") && { "mcp-protocol-version": this.revision };
    return { accept: "application/json, text/event-stream", ...authorization, ...version, ...this.#session, ...this.headers };
  }
}

// The result in an answer, which is JSON or an event stream.
function result(answer) {
  assert.equal(answer.status, 200, answer.text);
  const events = answer.text.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
  const message = answer.json ?? JSON.parse(events.filter(Boolean).at(-1));
  assert.ok(message.result, JSON.stringify(message));
  return message.result;
}

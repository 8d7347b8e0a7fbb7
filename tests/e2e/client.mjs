// What the tests of both TypeScript SDKs need of a client: somewhere to keep its credentials, and a record of the wire.

import { randomBytes } from "node:crypto";
import { Browser } from "./browser.mjs";

/** An `OAuthClientProvider` of either SDK that keeps everything in memory and has a person at hand to sign in. */
export class Credentials {
  redirectUrl = `http://127.0.0.1:${20000 + (randomBytes(2).readUInt16BE() % 12000)}/callback`;
  person = new Browser();
  /** How often the person was sent to the authorization page. */
  redirects = 0;

  constructor(metadata = {}) {
    this.clientMetadata = {
      client_name: "End to end",
      redirect_uris: [this.redirectUrl],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
      ...metadata,
    };
  }

  state() {
    // As VS Code writes it: base64, with the characters that double decoding would break.
    this.sentState = `${randomBytes(16).toString("base64")}+/==`;
    return this.sentState;
  }

  clientInformation = () => this.registered;
  saveClientInformation = (registered) => {
    this.registered = registered;
  };
  tokens = () => this.saved;
  saveTokens = (tokens) => {
    this.saved = tokens;
  };
  saveCodeVerifier = (verifier) => {
    this.verifier = verifier;
  };
  codeVerifier = () => this.verifier;
  saveDiscoveryState = (state) => {
    this.discovered = state;
  };
  discoveryState = () => this.discovered;

  redirectToAuthorization(url) {
    this.redirects += 1;
    this.authorizationUrl = url;
  }

  invalidateCredentials(what) {
    if (what === "all" || what === "tokens") this.saved = undefined;
    if (what === "all" || what === "client") this.registered = undefined;
  }

  /** The person signs in; the parameters of the answer, as they reach the redirect URI. */
  async signIn(choices = {}) {
    const back = await this.person.signIn(this.authorizationUrl, { redirectUri: this.redirectUrl, ...choices });
    return back.searchParams;
  }
}

/** A `fetch` that writes down what goes over the wire, for `what(path)` to look up. */
export function recorder() {
  const seen = [];
  const record = async (input, init) => {
    const request = new Request(input, init);
    const sent = request.method === "POST" ? await request.clone().text() : "";
    const response = await fetch(request);
    const type = response.headers.get("content-type") ?? "";
    const json = type.includes("json") ? await response.clone().json() : undefined;
    const { pathname } = new URL(request.url);
    seen.push({ method: request.method, path: pathname, sent, headers: request.headers, status: response.status, answer: response.headers, json });
    return response;
  };
  return { fetch: record, seen, what: (method, path) => seen.filter((x) => x.method === method && x.path === path) };
}

/** The text of a tool's answer. */
export const text = (result) => result.content.map((part) => part.text).join("\n");

/** The tools the sample server is known for. */
export const calculator = ["add", "cos", "divide", "factorial", "log", "multiply", "power", "sin", "sqrt", "subtract"];

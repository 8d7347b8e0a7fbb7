// The official TypeScript SDKs, each with the revision of MCP that it is made to speak: as the tests use it.

import { Client as NewClient, StreamableHTTPClientTransport as NewTransport, UnauthorizedError as NewUnauthorized } from "@modelcontextprotocol/client";
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { recorder } from "./client.mjs";

const me = { name: "e2e", version: "1.0.0" };

/** 1.x, as most clients of today carry it. */
export const v1 = {
  name: "TypeScript SDK 1.x",
  revision: "2025-11-25",
  open(url, credentials, fetch, capabilities = {}) {
    const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: credentials, fetch });
    const client = new Client(me, { capabilities });
    return { client, transport, connect: () => client.connect(transport) };
  },
  call: (client, request, options) => client.callTool(request, undefined, options),
  finish: (transport, answer) => transport.finishAuth(answer.get("code")),
  unauthorized: (error) => error instanceof UnauthorizedError,
};

/** 2.x, speaking the older revisions. */
export const v2Legacy = second("TypeScript SDK 2.x, 2025-11-25", "2025-11-25", "legacy");

/** 2.x, speaking the new one. */
export const v2Modern = second("TypeScript SDK 2.x, 2026-07-28", "2026-07-28", { pin: "2026-07-28" });

/** 2.x, speaking the new one where the server does, and else an older one. */
export const v2Auto = second("TypeScript SDK 2.x, whatever the server speaks", "2025-11-25", "auto");

function second(name, revision, mode) {
  return {
    name,
    revision,
    open(url, credentials, fetch, capabilities = {}) {
      const transport = new NewTransport(new URL(url), { authProvider: credentials, fetch });
      const client = new NewClient(me, { capabilities, versionNegotiation: { mode } });
      return { client, transport, connect: () => client.connect(transport) };
    },
    call: (client, request, options) => client.callTool(request, options),
    // This SDK checks the issuer in the answer itself (RFC 9207).
    finish: (transport, answer) => transport.finishAuth(answer),
    unauthorized: (error) => error instanceof NewUnauthorized,
  };
}

/** A connected client of an SDK: signs the person in where the server asks for it, as a host application would. */
export async function connected(sdk, url, credentials, { wire = recorder(), capabilities, prepare = () => {} } = {}) {
  for (const last of [false, true]) {
    const opened = sdk.open(url, credentials, wire.fetch, capabilities);
    prepare(opened.client);
    try {
      await opened.connect();
      return { ...opened, wire };
    } catch (error) {
      if (last || !sdk.unauthorized(error)) throw error;
      const answer = await credentials.signIn();
      if (answer.get("error")) throw new Error(`not signed in: ${answer}`);
      await sdk.finish(opened.transport, answer);
      await opened.client.close();
    }
  }
}

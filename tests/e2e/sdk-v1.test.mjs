// The official TypeScript SDK 1.x, as most clients of today carry it.

import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { rules } from "./sdk-rules.mjs";

rules({
  name: "TypeScript SDK 1.x",
  revision: "2025-11-25",
  open(url, credentials, fetch) {
    const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: credentials, fetch });
    const client = new Client({ name: "e2e", version: "1.0.0" });
    return { client, transport, connect: () => client.connect(transport) };
  },
  finish: (transport, answer) => transport.finishAuth(answer.get("code")),
  unauthorized: (error) => error instanceof UnauthorizedError,
});

// The official TypeScript SDK 2.x, speaking the older revisions of MCP.

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { rules } from "./sdk-rules.mjs";

rules({
  name: "TypeScript SDK 2.x, 2025-11-25",
  revision: "2025-11-25",
  open(url, credentials, fetch) {
    const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: credentials, fetch });
    const client = new Client({ name: "e2e", version: "1.0.0" }, { versionNegotiation: { mode: "legacy" } });
    return { client, transport, connect: () => client.connect(transport) };
  },
  // This SDK checks the issuer in the answer itself (RFC 9207).
  finish: (transport, answer) => transport.finishAuth(answer),
  unauthorized: (error) => error instanceof UnauthorizedError,
});

// The official TypeScript SDK 2.x, speaking the new revisions of MCP.

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { rules } from "./sdk-rules.mjs";

rules({
  name: "TypeScript SDK 2.x, 2026-07-28",
  revision: "2026-07-28",
  open(url, credentials, fetch) {
    const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: credentials, fetch });
    const client = new Client({ name: "e2e", version: "1.0.0" }, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
    return { client, transport, connect: () => client.connect(transport) };
  },
  // This SDK checks the issuer in the answer itself (RFC 9207).
  finish: (transport, answer) => transport.finishAuth(answer),
  unauthorized: (error) => error instanceof UnauthorizedError,
});

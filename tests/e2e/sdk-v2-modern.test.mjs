// The official TypeScript SDK 2.x, speaking the new revisions of MCP.

import { rules } from "./sdk-rules.mjs";
import { v2Modern } from "./sdks.mjs";

rules(v2Modern);

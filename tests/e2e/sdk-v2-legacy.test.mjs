// The official TypeScript SDK 2.x, speaking the older revisions of MCP.

import { rules } from "./sdk-rules.mjs";
import { v2Legacy } from "./sdks.mjs";

rules(v2Legacy);

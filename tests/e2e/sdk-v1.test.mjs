// The official TypeScript SDK 1.x, as most clients of today carry it.

import { rules } from "./sdk-rules.mjs";
import { v1 } from "./sdks.mjs";

rules(v1);

// A real browser, headless, with a profile of its own that is thrown away.

import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { work } from "./server.mjs";

const executablePath =
  process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Opens the browser, gives its page to `use`, and closes it whatever happens. */
export async function inChromium(options, use) {
  const profile = mkdtempSync(join(tmpdir(), "anteroom-chromium-"));
  const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: flags, viewport: { width: 1280, height: 900 }, ...options });
  try {
    context.setDefaultTimeout(40_000);
    // Pages ask for fonts on the internet; tests have no business there.
    await context.route(/fonts\.(googleapis|gstatic)\.com/, (route) => route.abort());
    return await use(context.pages()[0] ?? (await context.newPage()), context);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A picture of the page, to look at when something is wrong. */
export async function picture(page, name) {
  const folder = join(work, "screenshots");
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

/** The port of MCP Inspector, whose page `dev` lets in. */
export const inspectorPort = 6274;

/** Closes a server that browsers may still hold connections to. */
export function closed(server) {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
}

/** A client on this computer: listens at its redirect URI and tells what arrives there. */
export async function localClient(issuer, { host = "127.0.0.1", port = 0, name = "A local client" } = {}) {
  let arrive;
  const arrived = new Promise((resolve) => (arrive = resolve));
  const server = createServer((request, response) => {
    if (request.url.startsWith("/callback")) arrive(new URL(request.url, "http://here"));
    response.setHeader("content-type", "text/html").end("<title>done</title><p>You can close this window.");
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
  const redirectUri = `http://${host}:${server.address().port}/callback`;
  const registered = await fetch(`${issuer}/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ client_name: name, redirect_uris: [redirectUri], token_endpoint_auth_method: "none" }),
  });
  const { client_id } = await registered.json();
  const challenge = createHash("sha256").update(randomBytes(32).toString("base64url")).digest("base64url");
  const url = new URL(`${issuer}/authorize`);
  url.search = new URLSearchParams({
    response_type: "code", client_id, redirect_uri: redirectUri, code_challenge: challenge,
    code_challenge_method: "S256", state: "a+b/c==", resource: `${issuer}/mcp`,
  });
  return { url: url.href, redirectUri, arrived, origin: new URL(redirectUri).origin, close: () => closed(server) };
}

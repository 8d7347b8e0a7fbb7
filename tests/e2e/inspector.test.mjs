// MCP Inspector, driven in Chromium the way a person uses it: enter the URL, connect, agree, sign in, call a tool.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { closed, inChromium, inspectorPort, picture } from "./chromium.mjs";
import { freePort, run, startAnteroom } from "./server.mjs";

const modules = fileURLToPath(new URL("./node_modules/@modelcontextprotocol/", import.meta.url));
let server;
before(async () => {
  server = await startAnteroom();
});
after(() => server?.stop());

// Inspector 2.x: a page and a program of its own that talks to the MCP server.
async function withInspector(args, use) {
  const home = mkdtempSync(join(tmpdir(), "anteroom-inspector-"));
  const catalog = join(home, "catalog.json");
  writeFileSync(catalog, '{"mcpServers":{}}');
  const env = {
    HOME: home, CLIENT_PORT: String(await freePort()), MCP_SANDBOX_PORT: String(await freePort()), MCP_APP_ORIGIN_PORT: String(await freePort()),
    MCP_AUTO_OPEN_ENABLED: "false", MCP_STORAGE_DIR: join(home, "storage"), MCP_INSPECTOR_SECRET_STORE: "file",
  };
  if (args().length === 0) env.MCP_CATALOG_PATH = catalog;
  const launcher = join(modules, "inspector/clients/launcher/build/index.js");
  const program = await run(process.execPath, [launcher, "--web", ...args()], { ready: /http:\/\/\S+\?MCP_INSPECTOR_API_TOKEN=\w+/, env, cwd: home });
  try {
    const [url] = /http:\/\/\S+\?MCP_INSPECTOR_API_TOKEN=\w+/.exec(program.output());
    await inChromium({}, (page) => use(page, url));
  } finally {
    await program.stop();
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

// The person's part, from the consent page to the page of Inspector they came from.
async function signIn(page, origin, name) {
  await page.waitForURL(`${server.issuer}/authorize**`);
  await picture(page, `${name}-consent`);
  await page.getByRole("button", { name: "Continue with GitHub" }).click();
  await page.waitForURL(`${server.standin}/**`);
  await picture(page, `${name}-provider`);
  await page.getByRole("button", { name: /\bmona\b/i }).click();
  await page.waitForURL((url) => url.origin === origin);
}

// The switch itself is drawn by its label and cannot be seen.
const connect = (page) => page.getByRole("switch", { name: /^Connect or disconnect/ }).click({ force: true });

const switchTo = (page, tab) => page.locator("label", { hasText: new RegExp(`^${tab}$`) }).click();

async function callTools(page, name) {
  await switchTo(page, "Tools");
  const main = page.locator("main");
  await main.getByRole("button", { name: "add", exact: true }).click();
  await picture(page, `${name}-tools`);
  await main.getByRole("textbox", { name: "a", exact: true }).fill("2");
  await main.getByRole("textbox", { name: "b", exact: true }).fill("40");
  await main.getByRole("button", { name: "Execute Tool" }).click();
  await main.getByText(/\b42\b/).first().waitFor();
  await picture(page, `${name}-add`);
  await main.getByRole("button", { name: "whoami", exact: true }).click();
  await main.getByRole("button", { name: "Execute Tool" }).click();
  await main.getByText(/\bmona\b/).first().waitFor();
  await picture(page, `${name}-whoami`);
}

// @covers CONS-28
test("Inspector 2.x signs a person in and calls tools, from nothing but the URL", () =>
  withInspector(() => [], async (page, url) => {
    await page.goto(url);
    await page.getByRole("button", { name: "Add Servers" }).click();
    await page.getByRole("menuitem", { name: "Add manually" }).click();
    await page.getByRole("textbox", { name: "Server ID" }).fill("anteroom");
    await page.getByRole("textbox", { name: "Transport" }).click();
    await page.getByRole("option", { name: "streamable-http" }).click();
    await page.getByRole("textbox", { name: "URL" }).fill(server.url);
    await picture(page, "inspector-add");
    await page.getByRole("dialog").getByRole("button", { name: "Add", exact: true }).click();
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await connect(page);
    await signIn(page, new URL(url).origin, "inspector");
    await page.getByText("Connected", { exact: true }).waitFor();
    await picture(page, "inspector-connected");
    await callTools(page, "inspector");

    await switchTo(page, "Resources");
    await page.locator("main").getByText("welcome.txt").first().click();
    await page.locator("main").getByText(/welcome to/i).first().waitFor();
    await picture(page, "inspector-resource");
    await switchTo(page, "Prompts");
    await page.locator("main").getByText(/security/i).first().waitFor();
    await picture(page, "inspector-prompts");
  }));

// @covers HTTP-01
test("Inspector 2.x does the same in the revision of 2026-07-28", () =>
  withInspector(() => ["--transport", "http", "--server-url", server.url, "--protocol-era", "modern"], async (page, url) => {
    await page.goto(url);
    await picture(page, "inspector-modern-start");
    await connect(page);
    await signIn(page, new URL(url).origin, "inspector-modern");
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.getByText("MCP 2026-07-28").waitFor();
    await callTools(page, "inspector-modern");
  }));

// @covers CORS-01, CORS-02, CORS-03, CORS-04, CORS-07
test("Inspector 1.x connects from the browser itself, with no program between", async () => {
  const dist = join(modules, "inspector-client/dist");
  const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
  const web = createServer((request, response) => {
    const asked = join(dist, new URL(request.url, "http://here").pathname);
    const file = asked.startsWith(dist) && existsSync(asked) && statSync(asked).isFile() ? asked : join(dist, "index.html");
    response.setHeader("content-type", types[extname(file)] ?? "application/octet-stream").end(readFileSync(file));
  });
  await new Promise((resolve, reject) => web.once("error", reject).listen(inspectorPort, "localhost", resolve));
  const origin = `http://localhost:${inspectorPort}`;
  try {
    await inChromium({}, async (page) => {
      await page.goto(`${origin}/?transport=streamable-http&serverUrl=${encodeURIComponent(server.url)}`);
      await page.getByRole("combobox", { name: "Connection Type" }).click();
      await page.getByRole("option", { name: "Direct" }).click();
      await page.getByRole("button", { name: "Connect", exact: true }).click();
      await signIn(page, origin, "inspector-direct");
      await page.getByRole("button", { name: "Disconnect" }).waitFor();
      await page.getByRole("tab", { name: "Tools" }).click();
      await page.getByRole("button", { name: "List Tools" }).click();
      const panel = page.getByRole("tabpanel", { name: "Tools" });
      await panel.getByText("add", { exact: true }).first().click();
      await panel.getByRole("spinbutton", { name: /^a\b/ }).fill("2");
      await panel.getByRole("spinbutton", { name: /^b\b/ }).fill("40");
      await panel.getByRole("button", { name: "Run Tool" }).click();
      await panel.getByText(/\b42\b/).first().waitFor();
      await picture(page, "inspector-direct-add");
      await panel.getByText("whoami", { exact: true }).first().click();
      await panel.getByRole("button", { name: "Run Tool" }).click();
      await panel.getByText(/\bmona\b/).first().waitFor();
      await picture(page, "inspector-direct-whoami");
    });
  } finally {
    await closed(web);
  }
});

// Every page that people see, in each of its forms, in Chromium: looked at by axe, measured, and photographed.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { crc32, deflateSync } from "node:zlib";
import { closed, inChromium, picture } from "./chromium.mjs";
import { startAnteroom } from "./server.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const root = fileURLToPath(new URL("../..", import.meta.url));

let pages, server, origin;
before(async () => {
  const made = ["run", "--quiet", "--locked", "--example", "pages"];
  const { stdout } = await promisify(execFile)("cargo", made, { cwd: root, maxBuffer: 1 << 24 });
  pages = JSON.parse(stdout);
  server = createServer((request, response) => {
    const page = pages[request.url];
    if (page) response.writeHead(page.status, page.headers).end(page.body);
    else if (request.url === "/logo/sample") response.writeHead(200, { "content-type": "image/png" }).end(logo());
    // A logo that never comes: the page must not wait for it.
    else if (request.url !== "/logo/slow") response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
});
after(() => server && closed(server));

const looks = [
  ["phone", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }],
  ["phone-dark", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: "dark" }],
  ["desktop", { viewport: { width: 1280, height: 900 } }],
  ["desktop-dark", { viewport: { width: 1280, height: 900 }, colorScheme: "dark" }],
];
for (const [look, options] of looks) {
  // @covers CONS-04, CLI-21
  test(`every form of every page can be read by everybody: ${look}`, { timeout: 170_000 }, () =>
    // The policy of the pages forbids every script, and so the one that looks at them: it is set aside for that alone.
    inChromium({ ...options, bypassCSP: true }, async (page) => {
      const names = Object.keys(pages).filter((path) => !path.startsWith("/assets/"));
      assert.ok(names.length >= 35, `${names}`);
      for (const name of names) {
        await page.goto(origin + name, { waitUntil: "domcontentloaded" });
        await styled(page);
        const shown = `${name.slice(1)}-${look}`;
        if (!name.includes("slow")) await page.waitForLoadState("load");
        if (/^.(remembered|help)/.test(name)) await picture(page, `${shown}-folded`);
        await page.evaluate(() => document.querySelectorAll("details").forEach((folded) => (folded.open = true)));
        await picture(page, shown);
        const [faults, looked] = await page.evaluate(async (source) => {
          new Function(source)();
          const { violations, passes } = await axe.run(document);
          const faults = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
          return [faults, passes.map(({ id }) => id)];
        }, axe);
        assert.deepEqual(faults, [], shown);
        assert.ok(looked.includes("color-contrast") && looked.length > 10, `${shown}: only ${looked}`);
        const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(content <= window, `${shown} scrolls sideways: ${content} > ${window}`);
      }
    }));
}

// @covers CLI-22, SEC-10
test("a page looks the same with a logo, without one, and while it is on its way", () =>
  inChromium({}, async (page) => {
    const places = [];
    for (const name of ["document", "logo", "logo-missing", "logo-slow"]) {
      await page.goto(`${origin}/${name}`, { waitUntil: "domcontentloaded" });
      await styled(page);
      const go = page.getByRole("button", { name: "Continue with GitHub" });
      places.push((await go.boundingBox()).y + (await page.evaluate(() => scrollY)));
    }
    assert.deepEqual(new Set(places).size, 1, `${places}`);
  }));

// @covers CONS-25
test("each button of the account page says by itself what it disconnects", () =>
  inChromium({}, async (page) => {
    await page.goto(`${origin}/account`);
    for (const [name, host] of [["Claude", "claude.ai"], ["Cursor", "cursor://anysphere.cursor-mcp"]]) {
      await page.getByRole("button", { name: `Disconnect “${name}” at ${host}` }).waitFor();
    }
    const all = page.getByRole("button", { name: "Disconnect all 2 connections" });
    assert.equal(await all.isVisible(), false);
    await page.getByText("Disconnect everything").focus();
    await page.keyboard.press("Enter");
    assert.ok(await all.isVisible());
  }));

// @covers RS-01
test("one click on the help page takes a whole command, and nothing around it", () =>
  inChromium({}, async (page) => {
    await page.goto(`${origin}/help`);
    const address = "https://mcp.example.com/mcp";
    for (const [way, taken] of [
      [null, address],
      ["Claude web", address],
      ["Claude Code", `claude mcp add --transport http example-tools ${address}`],
      ["VS Code", `code --add-mcp '{"name":"example-tools","type":"http","url":"${address}"}'`],
      ["Cursor", JSON.stringify({ mcpServers: { "example-tools": { url: address } } }, null, 2)],
    ]) {
      const place = way ? page.locator("details", { has: page.locator("summary", { hasText: way }) }) : page.locator("main");
      const text = place.locator(".copy").first();
      if (way) {
        assert.equal(await text.isVisible(), false, way);
        await place.locator("summary").focus();
        await page.keyboard.press("Enter");
      }
      await text.locator("code").click();
      assert.equal(await page.evaluate(() => getSelection().toString().trim()), taken);
    }
    const hrefs = await page.locator("details a").evaluateAll((links) => links.map((link) => link.href));
    const [code, cursor] = hrefs.map((href) => new URL(href));
    assert.deepEqual(JSON.parse(decodeURIComponent(code.search.slice(1))), { name: "example-tools", type: "http", url: address });
    assert.equal(cursor.searchParams.get("name"), "example-tools");
    assert.deepEqual(JSON.parse(atob(cursor.searchParams.get("config"))), { url: address });
  }));

// @covers RS-01, RS-02
test("a browser shows the help page although the answer is a challenge, and finds it from the bare address", async () => {
  const anteroom = await startAnteroom();
  try {
    await inChromium({}, async (page) => {
      for (const address of [anteroom.url, anteroom.issuer]) {
        const answer = await page.goto(address);
        assert.equal(answer.status(), 401);
        assert.match(answer.headers()["www-authenticate"], /^Bearer resource_metadata=/);
        assert.equal(page.url(), anteroom.url);
        await page.getByRole("heading", { name: "This is an MCP server" }).waitFor();
        assert.equal(await page.locator(".address").innerText(), anteroom.url);
      }
      await styled(page);
      await page.getByRole("link", { name: "your account page" }).click();
      await page.getByRole("button", { name: "Sign in with GitHub (stand-in)" }).waitFor();
    });
  } finally {
    await anteroom.stop();
  }
});

// @covers SEC-10, CONS-05
test("the pages break no rule of their own policy", () =>
  inChromium({}, async (page) => {
    const faults = [];
    page.on("console", (message) => message.text().includes("Content Security Policy") && faults.push(message.text()));
    page.on("request", (request) => request.url().startsWith(origin) || faults.push(request.url()));
    for (const name of Object.keys(pages)) {
      if (name.startsWith("/assets/") || name.includes("slow")) continue;
      await page.goto(origin + name);
    }
    assert.deepEqual(faults, []);
  }));

// @covers CONS-24
test("what is folded on the short page opens with the keyboard", () =>
  inChromium({}, async (page) => {
    await page.goto(`${origin}/remembered`);
    const scope = page.getByText("Run tools on your behalf");
    assert.equal(await scope.isVisible(), false);
    assert.ok(await page.getByText("claude.ai").first().isVisible());
    await page.getByText("What it could do, and how you sign in").focus();
    await page.keyboard.press("Enter");
    assert.ok(await scope.isVisible());
  }));

// A page with a picture that never comes is never loaded: its style is.
const styled = (page) => page.waitForFunction(() => document.styleSheets[0]?.cssRules.length);

// A disc, as PNG.
function logo() {
  const size = 96;
  const rows = Buffer.alloc(size * (1 + size * 4));
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      const inside = Math.hypot(x - size / 2, y - size / 2) < size / 2;
      rows.set(inside ? [217, 119, 87, 255] : [0, 0, 0, 0], y * (1 + size * 4) + 1 + x * 4);
    }
  }
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  const head = Buffer.from([0, 0, 0, size, 0, 0, 0, size, 8, 6, 0, 0, 0]);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

// The consent page and the way of the browser through it, in Chromium.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inChromium, inspectorPort, localClient, picture } from "./chromium.mjs";
import { startAnteroom } from "./server.mjs";

let server;
before(async () => {
  server = await startAnteroom();
});
after(() => server?.stop());

const go = (page) => page.getByRole("button", { name: "Continue with GitHub" });

async function withClient(options, use, client = {}) {
  const local = await localClient(server.issuer, client);
  try {
    await inChromium(options, (page, context) => use(page, local, context));
  } finally {
    await local.close();
  }
}

async function answered(local) {
  const { searchParams } = await local.arrived;
  assert.equal(searchParams.get("state"), "a+b/c==");
  assert.equal(searchParams.get("iss"), server.issuer);
  return searchParams;
}

const sizes = [
  ["phone", { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true }],
  ["desktop", { viewport: { width: 1280, height: 900 } }],
  ["dark", { viewport: { width: 1280, height: 900 }, colorScheme: "dark" }],
];
for (const [name, options] of sizes) {
  // @covers CONS-04
  test(`the consent page fits a ${name} screen and names the client, its place and both answers`, () =>
    withClient(options, async (page, local) => {
      const faults = [];
      page.on("console", (message) => ["error", "warning"].includes(message.type()) && faults.push(message.text()));
      page.on("requestfailed", (request) => faults.push(request.url()));
      await page.goto(local.url);
      await picture(page, `consent-${name}`);
      assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1);
      assert.match(await page.locator("main").innerText(), /A local client/);
      assert.match(await page.locator("main").innerText(), /127\.0\.0\.1/);
      for (const button of [go(page), page.getByRole("button", { name: "Deny" })]) {
        await button.scrollIntoViewIfNeeded();
        const box = await button.boundingBox();
        assert.ok(box.height >= 24 && box.x >= 0 && box.x + box.width <= options.viewport.width, JSON.stringify(box));
      }
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= window, `scrolls sideways: ${content} > ${window}`);
      assert.ok(await page.evaluate(() => document.documentElement.lang));
      assert.deepEqual(faults, []);
    }));
}

// @covers AUTHZ-16, AUTHZ-24
test("the whole way works with the keyboard alone", () =>
  withClient({}, async (page, local) => {
    await page.goto(local.url);
    await tabTo(page, /continue with github/i);
    await picture(page, "keyboard-consent");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none", "the focus can be seen");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${server.standin}/**`);
    await tabTo(page, /\bmona\b/i);
    await page.keyboard.press("Enter");
    assert.ok((await answered(local)).get("code"));
  }));

// @covers AUTHZ-24
test("the whole way works without script", () =>
  withClient({ javaScriptEnabled: false }, async (page, local) => {
    await page.goto(local.url);
    await go(page).click();
    await page.waitForURL(`${server.standin}/**`);
    await picture(page, "provider-without-script");
    await page.getByRole("button", { name: /\bmona\b/i }).click();
    assert.ok((await answered(local)).get("code"));
  }));

// @covers AUTHZ-18
test("the button that refuses brings the client its answer at once", () =>
  withClient({}, async (page, local) => {
    await page.goto(local.url);
    await page.getByRole("button", { name: "Deny" }).click();
    assert.equal((await answered(local)).get("error"), "access_denied");
  }));

for (const host of ["127.0.0.1", "localhost"]) {
  // @covers AUTHZ-24, CONS-08, CONS-09
  test(`cookies last from localhost to the provider on 127.0.0.1 and back, to a client on ${host}`, () =>
    withClient({}, async (page, local, context) => {
      const set = [];
      page.on("response", async (response) => {
        if (!response.url().startsWith(server.issuer)) return;
        const headers = await response.headersArray();
        for (const { name, value } of headers) {
          if (name.toLowerCase() === "set-cookie") set.push({ path: new URL(response.url()).pathname, value });
        }
      });
      await page.goto(local.url);
      const before = (await context.cookies(server.issuer)).map((cookie) => cookie.name);
      await go(page).click();
      await page.waitForURL(`${server.standin}/**`);
      const cookies = await context.cookies(server.issuer);
      const bound = cookies.filter((cookie) => !before.includes(cookie.name));
      assert.ok(bound.length > 0, `the login is bound by a cookie of the approval: ${before}`);
      for (const cookie of cookies) {
        assert.ok(cookie.httpOnly, cookie.name);
        assert.equal(cookie.sameSite, "Lax", cookie.name);
      }
      await page.getByRole("button", { name: /\bmona\b/i }).click();
      assert.ok((await answered(local)).get("code"));
      assert.ok(set.every(({ value }) => !/;\s*domain=/i.test(value)), JSON.stringify(set));
    }, { host }));
}

// @covers CONS-24, CONS-02
test("who comes back finds a shorter page, and after a refusal the whole one again", () =>
  withClient({}, async (page, local) => {
    const whole = page.getByRole("heading", { name: "What it could do" });
    const before = page.getByText(/You let this app in before, on \d+ \w+ \d{4}/);
    await page.goto(local.url);
    assert.ok(await whole.isVisible());
    assert.equal(await before.count(), 0);
    await go(page).click();
    await page.waitForURL(`${server.standin}/**`);
    await page.getByRole("button", { name: /\bmona\b/i }).click();
    await page.waitForURL(`${local.origin}/**`);
    await page.goto(local.url);
    await picture(page, "consent-remembered");
    assert.ok(await before.isVisible());
    assert.equal(await whole.isVisible(), false);
    assert.doesNotMatch(await page.content(), /mona/i);
    await page.getByRole("button", { name: "Deny" }).click();
    await page.waitForURL(`${local.origin}/**`);
    await page.goto(local.url);
    assert.ok(await whole.isVisible());
  }));

// @covers CONS-11
test("the provider's answer in a fresh browser is refused with a page that says so", () =>
  withClient({}, async (page, local) => {
    await page.goto(local.url);
    await go(page).click();
    await page.waitForURL(`${server.standin}/**`);
    // The redirect of the provider is read and not followed: its answer is still unused.
    const answer = await new Promise((resolve) => {
      page.route(`${server.standin}/**`, async (route) => {
        const response = await route.fetch({ maxRedirects: 0 });
        if (response.headers().location) resolve(response.headers().location);
        await route.abort();
      });
      page.getByRole("button", { name: /\bmona\b/i }).click().catch(() => {});
    });
    await inChromium({}, async (other) => {
      const response = await other.goto(answer);
      await picture(other, "callback-in-another-browser");
      assert.equal(response.status(), 403);
      assert.ok(other.url().startsWith(server.issuer), other.url());
      assert.ok((await other.locator("main").innerText()).length > 20);
    });
  }));

// @covers AUTHZ-02
test("a request that names an unknown client ends on a page that helps a person on", () =>
  inChromium({ viewport: { width: 360, height: 740 } }, async (page) => {
    const response = await page.goto(`${server.issuer}/authorize?client_id=nobody&response_type=code&redirect_uri=https://evil.example/`);
    await picture(page, "unknown-client");
    assert.equal(response.status(), 400);
    assert.ok(page.url().startsWith(server.issuer));
    assert.equal(await page.getByRole("link", { name: /evil/ }).count(), 0);
  }));

// What a script of a page at `local` is told by each endpoint: status and challenge, or "blocked" by the browser.
async function asked(page, local) {
  await page.goto(local.origin);
  const script = async ({ issuer, authorize }) => {
    const ask = async (url, init) => {
      try {
        const response = await fetch(url, init);
        return { status: response.status, challenge: response.headers.get("www-authenticate") };
      } catch {
        return "blocked";
      }
    };
    const versioned = { headers: { "MCP-Protocol-Version": "2025-11-25" } };
    const form = (fields) => ({ method: "POST", body: new URLSearchParams(fields) });
    const json = (body, headers = {}) => ({ method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
    const everything = { authorization: "Bearer x", "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list", "mcp-name": "x", "mcp-session-id": "x", "last-event-id": "1", "mcp-param-region": "x" };
    const metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json();
    return {
      resource: await ask(`${issuer}/.well-known/oauth-protected-resource/mcp`, versioned),
      metadata: await ask(`${issuer}/.well-known/oauth-authorization-server`, versioned),
      keys: await ask(metadata.jwks_uri),
      register: await ask(metadata.registration_endpoint, json({ redirect_uris: ["http://localhost:1/cb"], token_endpoint_auth_method: "none" })),
      token: await ask(metadata.token_endpoint, form({ grant_type: "refresh_token", refresh_token: "x", client_id: "x" })),
      revoke: await ask(metadata.revocation_endpoint, form({ token: "x", client_id: "x" })),
      mcp: await ask(`${issuer}/mcp`, json({ jsonrpc: "2.0", id: 1, method: "tools/list" }, everything)),
      authorize: await ask(authorize),
    };
  };
  return page.evaluate(script, { issuer: server.issuer, authorize: local.url });
}

// @covers CORS-01, CORS-02, CORS-03, CORS-04, CORS-07
test("a page at the place of MCP Inspector can do all that a client does, and cannot read the consent page", () =>
  withClient({}, async (page, local) => {
    const told = await asked(page, local);
    assert.equal(told.resource.status, 200, JSON.stringify(told));
    assert.equal(told.metadata.status, 200);
    assert.equal(told.keys.status, 200);
    assert.equal(told.register.status, 201);
    assert.ok([400, 401].includes(told.token.status));
    assert.ok([200, 401].includes(told.revoke.status));
    assert.equal(told.mcp.status, 401);
    assert.match(told.mcp.challenge, /resource_metadata=/);
    assert.equal(told.authorize, "blocked");
  }, { host: "localhost", port: inspectorPort }));

// @covers CORS-05
test("a page of any other origin can read what is public, and nothing of the MCP server", () =>
  withClient({}, async (page, local) => {
    const told = await asked(page, local);
    assert.equal(told.resource.status, 200, JSON.stringify(told));
    assert.equal(told.metadata.status, 200);
    assert.equal(told.mcp, "blocked");
    assert.equal(told.authorize, "blocked");
  }, { host: "localhost" }));

async function tabTo(page, name) {
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press("Tab");
    const label = await page.evaluate(() => `${document.activeElement?.textContent} ${document.activeElement?.value ?? ""}`);
    if (name.test(label)) return;
  }
  assert.fail(`no way to ${name} with the Tab key`);
}

// Sign-in with an implementation of OpenID Connect that is not ours (npm oidc-provider), over https, in Chromium: from the
// first request of a client to the provider's word that ends it.

import assert from "node:assert/strict";
import { createServer } from "node:https";
import { after, before, test } from "node:test";
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { Provider } from "oidc-provider";
import { inChromium, picture } from "./chromium.mjs";
import { Credentials, text } from "./client.mjs";
import { freePort, startConfigured } from "./server.mjs";
import { localhostCertificate } from "./site.mjs";

const people = {
  mona: { email: "mona@acme.com", email_verified: true, name: "Mona", groups: ["mcp-users", "platform"] },
  hubot: { email: "hubot@acme.com", email_verified: false, name: "Hubot", groups: [] },
};
// How long a session is good after the provider vouched for it: the shortest that can be set.
const check = 10;

// The grants in force at the provider, and every token that it ever issued.
const grants = new Map();
const issued = new Set();

let provider, server;
before(async () => {
  provider = await startProvider(await freePort());
});
after(async () => {
  await server?.stop();
  await provider?.stop();
});

/** The provider at https://localhost:PORT, and anteroom with it as the provider `corp`. */
async function startProvider(port) {
  const { certificate, key, ca, remove } = localhostCertificate();
  const issuer = `https://localhost:${port}`;
  server = await startConfigured({
    settings: `[outbound]\nca = ["${ca}"]\n[tokens]\nupstream_check = "${check}s"\n[scope_policy.roles]\n"mcp:prompts:read" = ["corp:claim:groups=platform"]`,
    providers: () => `[provider.corp]
label = "Corp"
issuer = "${issuer}"
client_id = "anteroom"
client_secret = "s3cret/of+both=%41"
allow.claims.groups = ["mcp-users"]
`,
  });
  const openid = new Provider(issuer, {
    clients: [
      {
        client_id: "anteroom",
        client_secret: "s3cret/of+both=%41",
        redirect_uris: [`${server.issuer}/callback/corp`],
        grant_types: ["authorization_code", "refresh_token"],
      },
    ],
    clientBasedCORS: () => false,
    claims: { openid: ["sub", "groups"], email: ["email", "email_verified"], profile: ["name"] },
    cookies: { keys: ["a key of a test"] },
    features: { devInteractions: { enabled: true }, revocation: { enabled: true } },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...people[sub] }) }),
    pkce: { required: () => true },
    rotateRefreshToken: true,
  });
  openid.on("grant.saved", (grant) => grants.set(grant.jti, grant));
  openid.on("grant.destroyed", (grant) => grants.delete(grant.jti));
  openid.on("grant.revoked", (_, id) => grants.delete(id));
  for (const kind of ["access_token", "refresh_token", "authorization_code"]) {
    openid.on(`${kind}.saved`, (token) => issued.add(token.jti));
  }
  const listening = createServer({ key, cert: certificate }, openid.callback());
  await new Promise((resolve, reject) => listening.once("error", reject).listen(port, "127.0.0.1", resolve));
  const stop = async () => {
    listening.closeAllConnections();
    await new Promise((resolve) => listening.close(resolve));
    remove();
  };
  return { openid, issuer, stop };
}

/** Credentials whose person sits at Chromium. */
function credentialsOf(login, seen = () => {}) {
  const credentials = new Credentials();
  credentials.signIn = () =>
    inChromium({ ignoreHTTPSErrors: true }, async (page) => {
      const arrived = page.waitForRequest((request) => request.url().startsWith(credentials.redirectUrl));
      arrived.catch(() => {});
      await page.goto(String(credentials.authorizationUrl));
      await picture(page, `corp-consent-${login}`);
      await page.getByRole("button", { name: "Continue with Corp" }).click();
      await page.getByPlaceholder("Enter any login").fill(login);
      await page.getByPlaceholder("and password").fill("any");
      await page.getByRole("button", { name: "Sign-in" }).click();
      await page.getByRole("button", { name: "Continue" }).click();
      await seen(page);
      return new URL((await arrived).url()).searchParams;
    });
  return credentials;
}

function open(credentials) {
  const transport = new StreamableHTTPClientTransport(new URL(server.url), { authProvider: credentials });
  return { transport, client: new Client({ name: "e2e", version: "1.0.0" }) };
}

/** A client that somebody signed in with. */
async function connected(login) {
  const credentials = credentialsOf(login);
  const first = open(credentials);
  await assert.rejects(first.client.connect(first.transport), UnauthorizedError);
  await first.transport.finishAuth(await credentials.signIn());
  const { client, transport } = open(credentials);
  await client.connect(transport);
  return { client, credentials };
}

const bearer = (credentials) => ({ authorization: `Bearer ${credentials.saved.access_token}` });
const status = async (credentials) => (await fetch(server.url, { method: "POST", headers: bearer(credentials), body: "{}" })).status;

/** Asks until the answer is this one, for a little longer than the provider's word is good. */
async function until(expected, ask) {
  const last = Date.now() + (check + 10) * 1000;
  for (;;) {
    const answer = await ask();
    if (answer === expected) return;
    assert.ok(Date.now() < last, `still ${answer}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

// @covers CONS-17, CONS-18, CONS-20, CONS-28
test("a person of the provider signs in, and the server behind knows who they are", async () => {
  const { client, credentials } = await connected("mona");
  const told = text(await client.callTool({ name: "whoami", arguments: {} }));
  assert.match(told, /subject: corp:mona/);
  assert.match(told, /verified e-mail: mona@acme\.com/);
  assert.ok(credentials.saved.scope.includes("mcp:prompts:read"), "the role of the group opens its scope");
  await client.close();
});

// @covers CONS-27
test("a person whom no rule lets in is told why, and the client that access was denied", async () => {
  let page = "";
  const credentials = credentialsOf("hubot", async (at) => {
    await at.getByRole("heading", { level: 1 }).waitFor();
    page = await at.locator("main").innerText();
    await picture(at, "corp-refused");
    await at.getByRole("link", { name: /back|return/i }).click();
  });
  const { client, transport } = open(credentials);
  await assert.rejects(client.connect(transport), UnauthorizedError);
  const answer = await credentials.signIn();
  assert.match(page, /Corp/);
  assert.equal(answer.get("error"), "access_denied");
  assert.equal(answer.get("iss"), server.issuer);
  assert.equal(answer.get("state"), credentials.sentState);
});

// @covers CONS-14, CONS-22, AT-13
test("what the provider revokes is refused here as soon as its word has run out", async () => {
  const { client, credentials } = await connected("mona");
  assert.notEqual(await status(credentials), 401);
  await new Promise((resolve) => setTimeout(resolve, (check + 1) * 1000));
  assert.notEqual(await status(credentials), 401, "it is renewed as long as the provider says so");

  assert.ok(grants.size > 0);
  for (const grant of [...grants.values()]) await grant.destroy();
  await until(401, () => status(credentials));
  const refused = await fetch(`${server.issuer}/token`, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "refresh_token", refresh_token: credentials.saved.refresh_token, client_id: credentials.registered.client_id }),
  });
  assert.equal(refused.status, 400);
  assert.equal((await refused.json()).error, "invalid_grant");
  await client.close().catch(() => {});
});

// @covers CONS-25
test("a person sees on their account page what is connected, and ends it there", async () => {
  const { client, credentials } = await connected("mona");
  await inChromium({ ignoreHTTPSErrors: true }, async (page) => {
    await page.goto(`${server.issuer}/account`);
    await page.getByRole("button", { name: "Corp" }).click();
    await page.getByPlaceholder("Enter any login").fill("mona");
    await page.getByPlaceholder("and password").fill("any");
    await page.getByRole("button", { name: "Sign-in" }).click();
    await page.getByRole("button", { name: "Continue" }).click();
    await page.waitForURL(`${server.issuer}/account`);
    assert.match(await page.locator("main").innerText(), /End to end/);
    await picture(page, "corp-account");
    assert.notEqual(await status(credentials), 401);
    const disconnect = page.getByRole("button", { name: /^Disconnect “/ });
    for (let left = await disconnect.count(); left > 0; left -= 1) {
      await disconnect.first().click();
      await page.waitForLoadState();
    }
    assert.equal(await status(credentials), 401);
  });
  await client.close().catch(() => {});
});

// @covers CONS-23
test("the last session of a person gives everything back to the provider", async () => {
  // what the provider still knows of sign-ins before is its own matter
  grants.clear();
  const { client } = await connected("mona");
  await client.close();
  assert.ok(grants.size > 0);
  assert.match(server.order("sessions", "revoke", "--person", "corp:mona"), /ended/);
  await until(0, () => grants.size);
});

test("nothing of the provider's is in the log", () => {
  assert.ok(issued.size > 0);
  for (const clear of issued) assert.ok(!server.output().includes(clear));
});

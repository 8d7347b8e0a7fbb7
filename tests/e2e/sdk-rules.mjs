// What every TypeScript client must be able to do, whichever SDK and whichever revision of MCP it speaks.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { calculator, Credentials, recorder, text } from "./client.mjs";
import { connected as connect } from "./sdks.mjs";
import { startAnteroom } from "./server.mjs";

/** Registers the tests of an SDK (see sdks.mjs). */
export function rules(sdk) {
  const { name, revision, open, finish, unauthorized } = sdk;
  let server;
  before(async () => {
    server = await startAnteroom();
  });
  after(() => server?.stop());

  const connected = (credentials, wire) => connect(sdk, server.url, credentials, { wire });

  // @covers RS-01, RS-03, DISC-01, DISC-04, DISC-06, DISC-10, DISC-20, DISC-23, DISC-24, CLI-30, CLI-31, CONS-28
  test(`${name}: a client that knows nothing but the URL finds everything, registers, signs a person in and connects`, async () => {
    const credentials = new Credentials();
    const { client, wire } = await connected(credentials);
    await client.close();
    assert.equal(credentials.redirects, 1);

    const [refused] = wire.what("POST", "/mcp");
    assert.equal(refused.status, 401);
    const challenge = refused.answer.get("www-authenticate");
    assert.match(challenge, /^Bearer /);
    assert.match(challenge, new RegExp(`resource_metadata="${server.issuer}/.well-known/oauth-protected-resource/mcp"`));
    assert.doesNotMatch(challenge, /error=/);

    const [resource] = wire.what("GET", "/.well-known/oauth-protected-resource/mcp");
    assert.equal(resource.json.resource, server.url);
    const [metadata] = wire.what("GET", "/.well-known/oauth-authorization-server");
    assert.equal(metadata.json.issuer, server.issuer);
    assert.equal(resource.json.authorization_servers[0], metadata.json.issuer);
    assert.deepEqual(metadata.json.code_challenge_methods_supported, ["S256"]);
    assert.deepEqual(metadata.json.response_types_supported, ["code"]);

    const [registration] = wire.what("POST", "/register");
    assert.equal(registration.status, 201);
    assert.match(registration.answer.get("cache-control"), /no-store/);
    assert.deepEqual(registration.json.redirect_uris, [credentials.redirectUrl]);
    assert.equal(registration.json.token_endpoint_auth_method, "none");
    assert.equal(registration.json.client_secret, undefined);
    assert.ok(Number.isInteger(registration.json.client_id_issued_at));
    assert.deepEqual(registration.json.grant_types, ["authorization_code", "refresh_token"]);
    assert.deepEqual(registration.json.response_types, ["code"]);
    assert.ok(!Object.values(registration.json).includes(null));
  });

  // @covers AUTHZ-16, AUTHZ-09, TOK-03, DISC-28
  test(`${name}: the answer carries code, state and issuer, and the token answer is complete and not stored`, async () => {
    const credentials = new Credentials();
    const wire = recorder();
    const opened = open(server.url, credentials, wire.fetch);
    await assert.rejects(opened.connect(), unauthorized);
    const answer = await credentials.signIn();
    assert.deepEqual([...answer.keys()].sort(), ["code", "iss", "state"]);
    assert.equal(answer.get("state"), credentials.sentState);
    assert.equal(answer.get("iss"), server.issuer);
    await finish(opened.transport, answer);
    await opened.client.close();

    const [token] = wire.what("POST", "/token");
    assert.equal(token.status, 200);
    assert.match(token.answer.get("cache-control"), /no-store/);
    assert.equal(token.json.token_type, "Bearer");
    assert.ok(Number.isInteger(token.json.expires_in) && token.json.expires_in > 0);
    assert.ok(token.json.access_token && token.json.refresh_token && token.json.scope);
    assert.ok(!Object.values(token.json).includes(null));
  });

  test(`${name}: the revision that is spoken is ${revision}`, async () => {
    const { client, wire } = await connected(new Credentials());
    await client.listTools();
    await client.close();
    const last = wire.what("POST", "/mcp").at(-1);
    assert.equal(last.headers.get("mcp-protocol-version"), revision);
  });

  // @covers HTTP-13
  test(`${name}: tools are listed and called, and the server behind knows who is signed in`, async () => {
    const { client } = await connected(new Credentials());
    const tools = (await client.listTools()).tools.map((tool) => tool.name);
    for (const tool of [...calculator, "whoami"]) assert.ok(tools.includes(tool), `${tool} is missing: ${tools}`);
    assert.match(text(await client.callTool({ name: "add", arguments: { a: 2, b: 40 } })), /\b42\b/);
    assert.match(text(await client.callTool({ name: "whoami", arguments: {} })), /\bmona\b/);
    const divided = await client.callTool({ name: "divide", arguments: { a: 1, b: 0 } });
    assert.equal(divided.isError, true);
    await client.close();
  });

  test(`${name}: two people who use the same server at once are told apart`, async () => {
    const [one, other] = [new Credentials(), new Credentials()];
    other.signIn = (choices) => Credentials.prototype.signIn.call(other, { as: "octavia", ...choices });
    const both = await Promise.all([connected(one), connected(other)]);
    const told = await Promise.all(both.map(({ client }) => client.callTool({ name: "whoami", arguments: {} })));
    assert.match(text(told[0]), /\bmona\b/);
    assert.match(text(told[1]), /\boctavia\b/);
    await Promise.all(both.map(({ client }) => client.close()));
  });

  test(`${name}: prompts are listed and filled in`, async () => {
    const { client } = await connected(new Credentials());
    const { prompts } = await client.listPrompts();
    assert.ok(prompts.length >= 4, JSON.stringify(prompts));
    for (const kind of ["security", "performance", "style"]) {
      assert.ok(prompts.some((prompt) => prompt.name.includes(kind)), kind);
    }
    const [prompt] = prompts;
    const filled = await client.getPrompt({ name: prompt.name, arguments: { code: "let answer = 42;" } });
    assert.match(filled.messages[0].content.text, /let answer = 42;/);
    await client.close();
  });

  test(`${name}: resources are listed and read`, async () => {
    const { client } = await connected(new Credentials());
    const { resources } = await client.listResources();
    for (const file of ["welcome.txt", "config.json", "sample.md", "oauth2-config.yaml"]) {
      assert.ok(resources.some((resource) => resource.uri.endsWith(file)), file);
    }
    const welcome = resources.find((resource) => resource.uri.endsWith("welcome.txt"));
    const { contents } = await client.readResource({ uri: welcome.uri });
    assert.match(contents[0].text, /welcome/i);
    await client.close();
  });

  // @covers RS-05, TOK-30, TOK-31, TOK-35
  test(`${name}: a client whose access token is no longer good refreshes it and goes on, without the person`, async () => {
    const credentials = new Credentials();
    const { client, wire } = await connected(credentials);
    const old = { ...credentials.saved };
    credentials.saved = { ...old, access_token: `${old.access_token.slice(0, -8)}AAAAAAAA` };
    assert.match(text(await client.callTool({ name: "add", arguments: { a: 1, b: 1 } })), /\b2\b/);
    const refused = wire.what("POST", "/mcp").findLast((exchange) => exchange.status === 401);
    assert.match(refused.answer.get("www-authenticate"), /error="invalid_token"/);
    const refresh = wire.what("POST", "/token").at(-1);
    assert.match(refresh.sent, /grant_type=refresh_token/);
    assert.equal(refresh.status, 200);
    assert.equal(credentials.redirects, 1);
    assert.notEqual(credentials.saved.access_token, old.access_token);
    assert.notEqual(credentials.saved.refresh_token, old.refresh_token);
    assert.equal(credentials.saved.scope, old.scope);
    await client.close();
  });

  test(`${name}: a client that comes back with stored credentials needs no person`, async () => {
    const credentials = new Credentials();
    await (await connected(credentials)).client.close();
    const { client, wire } = await connected(credentials);
    assert.match(text(await client.callTool({ name: "whoami", arguments: {} })), /\bmona\b/);
    assert.equal(credentials.redirects, 1);
    assert.equal(wire.what("POST", "/register").length, 0);
    await client.close();
  });

  // @covers REV-01, REV-03, RS-05, AT-13, TOK-37
  test(`${name}: after its token is revoked a client is refused at once and asks the person again`, async () => {
    const credentials = new Credentials();
    const { client, wire } = await connected(credentials);
    const { refresh_token: token } = credentials.saved;
    const { client_id } = credentials.registered;
    const revoked = await fetch(`${server.issuer}/revoke`, { method: "POST", body: new URLSearchParams({ token, client_id }) });
    assert.equal(revoked.status, 200);
    assert.equal(await revoked.text(), "");

    await assert.rejects(client.callTool({ name: "whoami", arguments: {} }), unauthorized);
    const refused = wire.what("POST", "/mcp").at(-1);
    assert.equal(refused.status, 401);
    assert.match(refused.answer.get("www-authenticate"), /error="invalid_token"/);
    const refresh = wire.what("POST", "/token").at(-1);
    assert.equal(refresh.status, 400);
    assert.equal(refresh.json.error, "invalid_grant");
    // Its stream of events, which ended as well, may have asked on its own when it was opened again.
    assert.ok(credentials.redirects >= 2, `${credentials.redirects}`);
    await client.close().catch(() => {});

    const again = await connected(credentials);
    assert.match(text(await again.client.callTool({ name: "whoami", arguments: {} })), /\bmona\b/);
    await again.client.close();
  });

  // @covers AUTHZ-18
  test(`${name}: a client learns that the person refused it`, async () => {
    const credentials = new Credentials();
    const opened = open(server.url, credentials, recorder().fetch);
    await assert.rejects(opened.connect(), unauthorized);
    const answer = await credentials.signIn({ consent: "deny" });
    assert.equal(answer.get("error"), "access_denied");
    assert.equal(answer.get("state"), credentials.sentState);
    assert.equal(answer.get("code"), null);
    await opened.client.close();
  });

  // @covers CLI-32, TOK-20, TOK-21
  for (const method of ["client_secret_post", "client_secret_basic"]) {
    test(`${name}: a client with a secret signs in with ${method}`, async () => {
      const credentials = new Credentials({ token_endpoint_auth_method: method });
      const { client, wire } = await connected(credentials);
      assert.match(text(await client.callTool({ name: "add", arguments: { a: 1, b: 2 } })), /\b3\b/);
      const { json } = wire.what("POST", "/register")[0];
      assert.ok(json.client_secret);
      assert.equal(json.client_secret_expires_at, 0);
      const token = wire.what("POST", "/token")[0];
      if (json.token_endpoint_auth_method === "client_secret_basic") assert.match(token.headers.get("authorization"), /^Basic /);
      else assert.match(token.sent, /client_secret=/);
      await client.close();
    });
  }
}

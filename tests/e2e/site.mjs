// A site with https for what clients publish about themselves, with a certificate authority made for the moment.

import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./server.mjs";

/**
 * Starts it at https://localhost:PORT. `publish(path, document)` puts a document there and returns its URL; `asked` is
 * what was asked for; `arguments` make `anteroom dev` read what is published.
 */
export async function startSite() {
  const { certificate, key, ca, remove } = localhostCertificate();

  const documents = new Map();
  const asked = [];
  const server = createServer({ key, cert: certificate }, (request, response) => {
    asked.push({ path: request.url, headers: request.headers });
    const document = documents.get(request.url);
    if (!document) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document));
  });
  const port = await freePort();
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  const origin = `https://localhost:${port}`;
  return {
    origin,
    asked,
    arguments: ["--private-host", `localhost:${port}`, "--ca", ca],
    publish(path, document) {
      documents.set(path, document);
      return origin + path;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      remove();
    },
  };
}

/** A certificate for localhost with its key, and the file of the authority that signed it. */
export function localhostCertificate() {
  const { authority, certificate, key } = certificates("localhost");
  const folder = mkdtempSync(join(tmpdir(), "anteroom-site-"));
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, authority);
  return { certificate, key, ca, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

// An authority, and the certificate of a host that it signed (RFC 5280 §4.1). Node reads certificates but writes none, and
// keys that lie in a repository sooner or later stand for something.
function certificates(host) {
  const pair = () => generateKeyPairSync("ec", { namedCurve: "P-256" });
  const [root, leaf] = [pair(), pair()];
  const issuer = name("anteroom tests");
  const extension = (id, critical, value) => sequence(oid(id), ...(critical ? [TRUE] : []), der(0x04, value));
  const authority = certificate(issuer, issuer, root.publicKey, root.privateKey, [
    extension([0x55, 0x1d, 0x13], true, sequence(TRUE)), // basicConstraints: an authority
    extension([0x55, 0x1d, 0x0f], true, der(0x03, Buffer.from([2, 4]))), // keyUsage: keyCertSign
  ]);
  const signed = certificate(issuer, name(host), leaf.publicKey, root.privateKey, [
    extension([0x55, 0x1d, 0x11], false, sequence(der(0x82, Buffer.from(host)))), // subjectAltName
    extension([0x55, 0x1d, 0x25], false, sequence(oid([0x2b, 6, 1, 5, 5, 7, 3, 1]))), // extKeyUsage: serverAuth
  ]);
  return { authority, certificate: signed, key: leaf.privateKey.export({ type: "pkcs8", format: "pem" }) };
}

function certificate(issuer, subject, publicKey, signer, extensions) {
  const now = Date.now();
  const validity = sequence(...[now - 3_600_000, now + 86_400_000].map(utcTime));
  const algorithm = sequence(oid([0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])); // ecdsa-with-SHA256
  const version = der(0xa0, der(0x02, Buffer.from([2])));
  const serial = der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)]));
  const key = publicKey.export({ type: "spki", format: "der" });
  const body = sequence(version, serial, algorithm, issuer, validity, subject, key, der(0xa3, sequence(...extensions)));
  const signature = der(0x03, Buffer.concat([Buffer.from([0]), sign("sha256", body, signer)]));
  const text = sequence(body, algorithm, signature).toString("base64").match(/.{1,64}/g).join("\n");
  return `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
}

// The pieces of DER (X.690 §8) that a certificate has.
function der(tag, ...contents) {
  const content = Buffer.concat(contents);
  const { length } = content;
  const prefix = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...prefix]), content]);
}
const sequence = (...contents) => der(0x30, ...contents);
const oid = (bytes) => der(0x06, Buffer.from(bytes));
const name = (text) => sequence(der(0x31, sequence(oid([0x55, 4, 3]), der(0x0c, Buffer.from(text)))));
const utcTime = (at) => der(0x17, Buffer.from(`${new Date(at).toISOString().replace(/[-:T]/g, "").slice(2, 14)}Z`));
const TRUE = der(0x01, Buffer.from([0xff]));

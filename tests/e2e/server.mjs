// Starts the real program, `anteroom dev`, on ports of its own, and stops it again.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "../..");
const binary =
  process.env.ANTEROOM_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug/anteroom");

/** Where the tests leave screenshots and profiles; not part of the repository. */
export const work = join(here, ".work");

const given = new Set();

/** A port nobody listens on, below those that the system gives to outgoing connections, so that it stays free. */
export async function freePort() {
  for (;;) {
    const port = 20000 + Math.floor(Math.random() * 12000);
    if (given.has(port)) continue;
    given.add(port);
    const server = createServer();
    const free = await new Promise((resolve) => server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)));
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/**
 * Runs a program until it prints something that matches `ready`.
 * `output()` is everything it printed so far; `stop()` ends it and waits for the end.
 */
export async function run(command, args, { ready, env = {}, cwd = here, seconds = 30 }) {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const ended = new Promise((resolve) => child.once("exit", resolve));
  await new Promise((resolve, reject) => {
    const fail = (why) => reject(new Error(`${command} ${args.join(" ")}: ${why}\n${output}`));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail(`not ready after ${seconds} s`);
    }, seconds * 1000);
    const read = (chunk) => {
      output += chunk;
      if (ready.test(output)) {
        clearTimeout(timer);
        resolve();
      }
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code) => {
      clearTimeout(timer);
      fail(`ended with ${code}`);
    });
  });
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 5000);
    await ended;
    clearTimeout(late);
  };
  return { output: () => output, stop, ended };
}

/** `anteroom serve` before the sample server, with `providers` in its configuration: tables of TOML, with what they need. */
export async function startConfigured({ providers, settings = "" }) {
  const folder = mkdtempSync(join(tmpdir(), "anteroom-serve-"));
  const port = await freePort();
  const issuer = `http://localhost:${port}`;
  const url = `${issuer}/mcp`;
  const file = `public_url = "${issuer}"
listen = "127.0.0.1:${port}"
data_dir = "${join(folder, "data")}"
${settings}
[[server]]
path = "/mcp"
sample = true
${providers(issuer)}`;
  writeFileSync(join(folder, "providers.toml"), file);
  // the program takes every ANTEROOM_... for a setting of its own
  const env = { ANTEROOM_BIN: undefined, ANTEROOM_LOG_FILTER: process.env.ANTEROOM_E2E_LOG ?? "info" };
  const program = await run(binary, ["serve"], { ready: new RegExp(url.replaceAll(".", "\\.")), env, cwd: folder });
  const stop = async () => {
    await program.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  const order = (...words) => execFileSync(binary, [...words, "--data-dir", join(folder, "data")], { encoding: "utf8" });
  return { ...program, issuer, url, stop, order };
}

/** `anteroom dev`: the server, the sample MCP server behind it, and a stand-in for GitHub; `further` are more arguments. */
export async function startAnteroom(further = []) {
  const [port, standin] = [await freePort(), await freePort()];
  const issuer = `http://localhost:${port}`;
  const url = `${issuer}/mcp`;
  const dev = ["dev", "--listen", `127.0.0.1:${port}`, "--standin", `127.0.0.1:${standin}`, ...further];
  const program = await run(binary, dev, {
    ready: new RegExp(url.replaceAll(".", "\\.")),
    env: { ANTEROOM_LOG_FILTER: process.env.ANTEROOM_E2E_LOG ?? "info" },
  });
  return { ...program, issuer, url, standin: `http://127.0.0.1:${standin}` };
}

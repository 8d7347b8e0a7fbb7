// The person at the browser, without a browser: cookies, forms and redirects, nothing else, and so no script.

/** A browser with nothing in it. */
export class Browser {
  #cookies = new Map();
  /** Every answer it has seen: method, URL, status, headers and text. */
  history = [];

  /** Opens a URL the way a click on a link elsewhere does, and follows redirects up to `until`. */
  async open(url, until) {
    return this.#go({ method: "GET", url: String(url), from: undefined, until });
  }

  /** Presses a button of a form. */
  async press(page, form, button, until) {
    const fields = new URLSearchParams(form.fields);
    if (button?.name) fields.append(button.name, button.value);
    const url = new URL(form.action, page.url);
    if (form.method === "get") url.search = fields;
    const body = form.method === "post" ? fields : undefined;
    return this.#go({ method: form.method.toUpperCase(), url: url.href, body, from: page.url, until });
  }

  /**
   * Goes from an authorization URL to the client's redirect URI and returns that URL, which is not fetched. A redirect URI
   * of an app's own scheme is reached by the link of a page.
   * `consent` is the provider to continue with, or "deny"; `as` is the person to be there, or "cancel".
   */
  async signIn(authorizationUrl, { redirectUri, consent = "github", as = "mona" }) {
    let page = await this.open(authorizationUrl, redirectUri);
    for (let steps = 0; steps < 6; steps += 1) {
      if (page.reached) return new URL(page.reached);
      if (page.status !== 200) throw new Error(`${page.status} at ${page.url}\n${page.text}`);
      const link = links(page.text).find((href) => reaches(href, redirectUri));
      if (link) return new URL(link);
      const [form, button] = choose(page, consent, as);
      page = await this.press(page, form, button, redirectUri);
    }
    throw new Error(`still at ${page.url}`);
  }

  /** The cookies it would send to a host, as name -> value. */
  cookies(host) {
    const jar = this.#cookies.get(host) ?? new Map();
    return Object.fromEntries([...jar].map(([name, cookie]) => [name, cookie.value]));
  }

  async #go({ method, url, body, from, until }) {
    // A chain of redirects is same-site only as long as no other site had a part in it.
    let sameSite = from !== undefined && site(from) === site(url);
    for (let hops = 0; hops < 12; hops += 1) {
      if (until && reaches(url, until)) return { reached: url };
      const headers = { accept: "text/html", cookie: this.#header(new URL(url), method, sameSite) };
      if (from) headers.origin = new URL(from).origin;
      if (!headers.cookie) delete headers.cookie;
      if (method === "GET") delete headers.origin;
      const response = await fetch(url, { method, headers, body, redirect: "manual" });
      this.#keep(new URL(url), response.headers.getSetCookie());
      const text = await response.text();
      const page = { method, url, status: response.status, headers: response.headers, text };
      this.history.push(page);
      const location = response.headers.get("location");
      if (response.status < 300 || response.status >= 400 || !location) return { ...page, forms: forms(text) };
      const next = new URL(location, url).href;
      sameSite &&= site(next) === site(url);
      // 307 and 308 repeat the POST, with its body, wherever they lead: so a form would leak.
      if (response.status < 307) [method, body] = ["GET", undefined];
      url = next;
    }
    throw new Error(`too many redirects, the last to ${url}`);
  }

  #header(url, method, sameSite) {
    const jar = this.#cookies.get(url.hostname) ?? new Map();
    const sent = [...jar.values()].filter((cookie) => {
      if (!url.pathname.startsWith(cookie.path)) return false;
      if (sameSite) return true;
      if (cookie.sameSite === "none") return true;
      return cookie.sameSite === "lax" && method === "GET";
    });
    return sent.map((cookie) => `${cookie.name}=${cookie.value}`).join("; ");
  }

  #keep(url, lines) {
    if (!this.#cookies.has(url.hostname)) this.#cookies.set(url.hostname, new Map());
    const jar = this.#cookies.get(url.hostname);
    for (const line of lines) {
      const [pair, ...attributes] = line.split(";").map((part) => part.trim());
      const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
      const said = Object.fromEntries(attributes.map((a) => [a.split("=")[0].toLowerCase(), a.split("=")[1] ?? ""]));
      const over = said["max-age"] !== undefined ? Number(said["max-age"]) <= 0 : Date.parse(said.expires) < Date.now();
      if (over) jar.delete(name);
      else jar.set(name, { name, value, path: said.path ?? "/", sameSite: (said.samesite ?? "lax").toLowerCase() });
    }
  }
}

/** The forms of a page, with their hidden fields and their buttons. */
export function forms(html) {
  const found = [];
  const tag = /<(\/?)(form|input|button)\b((?:[^>"']|"[^"]*"|'[^']*')*)>([^<]*)/gi;
  for (const [, close, name, source, text] of html.matchAll(tag)) {
    const attribute = attributes(source);
    const form = found.at(-1);
    if (name.toLowerCase() === "form" && !close) {
      found.push({ method: (attribute.method ?? "get").toLowerCase(), action: attribute.action ?? "", fields: [], buttons: [] });
    } else if (!form || close) {
      continue;
    } else if (name.toLowerCase() === "button" || attribute.type === "submit") {
      form.buttons.push({ name: attribute.name, value: attribute.value ?? "", text: decode(text).trim() });
    } else if (attribute.name) {
      form.fields.push([attribute.name, attribute.value ?? ""]);
    }
  }
  return found;
}

/** Where the links of a page lead. */
function links(html) {
  const tags = html.matchAll(/<a\b((?:[^>"']|"[^"]*"|'[^']*')*)>/gi);
  return [...tags].map(([, source]) => attributes(source).href).filter((href) => URL.canParse(href));
}

function choose(page, consent, as) {
  for (const form of page.forms) {
    const decision = form.buttons.find((button) => button.name === "decision" && button.value === consent);
    if (decision) return [form, decision];
    const wanted = new RegExp(as === "cancel" ? "^(cancel|deny)" : `\\b${as}\\b`, "i");
    const person = form.buttons.find((button) => wanted.test(button.value) || wanted.test(button.text));
    if (person) return [form, person];
    const field = form.fields.some(([, value]) => value === as);
    if (field) return [form, form.buttons[0]];
  }
  throw new Error(`nothing to press for ${consent} or ${as} at ${page.url}\n${page.text}`);
}

const site = (url) => `${new URL(url).protocol}//${new URL(url).hostname}`;

function reaches(url, until) {
  const [a, b] = [new URL(url), new URL(until)];
  return a.protocol === b.protocol && a.host === b.host && a.pathname === b.pathname;
}

function attributes(source) {
  const found = {};
  for (const [, name, , twice, once, bare] of source.matchAll(/([\w-]+)(\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g)) {
    found[name.toLowerCase()] = decode(twice ?? once ?? bare ?? "");
  }
  return found;
}

function decode(text) {
  const named = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " " };
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal) return String.fromCodePoint(Number(decimal));
    return named[name.toLowerCase()] ?? whole;
  });
}

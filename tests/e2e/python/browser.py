"""The person at the browser, without a browser: cookies, forms and redirects, nothing else, and so no script."""

import re
from html.parser import HTMLParser
from http.client import HTTPConnection
from urllib.parse import urlencode, urljoin, urlsplit


class Browser:
    """A browser with nothing in it."""

    def __init__(self):
        self._cookies: dict[str, dict[str, str]] = {}

    def sign_in(self, authorization_url, redirect_uri, consent="github", person="mona"):
        """Goes from an authorization URL to the client's redirect URI and returns that URL, which is not fetched.

        `consent` is the provider to continue with, or "deny"; `person` is who is to be there, or "cancel".
        """
        page = self._open("GET", authorization_url, None, redirect_uri)
        for _ in range(6):
            if page["reached"]:
                return page["url"]
            if page["status"] != 200:
                raise AssertionError(f"{page['status']} at {page['url']}\n{page['text']}")
            form, button = _choose(page, consent, person)
            fields = urlencode([*form["fields"], *([button] if button else [])])
            page = self._open("POST", urljoin(page["url"], form["action"]), fields, redirect_uri, page["url"])
        raise AssertionError(f"still at {page['url']}")

    def _open(self, method, url, body, until, origin=None):
        for _ in range(12):
            if url.split("?")[0] == until:
                return {"reached": True, "url": url}
            parts = urlsplit(url)
            headers = {"Accept": "text/html"}
            cookies = self._cookies.setdefault(parts.hostname, {})
            if cookies:
                headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
            if body is not None:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
                headers["Origin"] = "{0.scheme}://{0.netloc}".format(urlsplit(origin))
            connection = HTTPConnection(parts.hostname, parts.port, timeout=20)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            for line in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = line.split(";")[0].partition("=")
                if re.search(r"max-age=0|1970", line, re.I):
                    cookies.pop(name.strip(), None)
                else:
                    cookies[name.strip()] = value.strip()
            location = answer.headers.get("Location")
            if not (300 <= answer.status < 400 and location):
                return {"reached": False, "url": url, "status": answer.status, "text": text}
            assert answer.status not in (307, 308), "a form is never sent on"
            method, body, url = "GET", None, urljoin(url, location)
        raise AssertionError(f"too many redirects, the last to {url}")


class _Forms(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append({"action": attributes.get("action", ""), "fields": [], "buttons": []})
        elif self.found and (tag == "button" or (tag == "input" and attributes.get("type") == "submit")):
            self.found[-1]["buttons"].append((attributes.get("name", ""), attributes.get("value", "")))
        elif self.found and tag == "input" and attributes.get("name"):
            self.found[-1]["fields"].append((attributes["name"], attributes.get("value", "")))


def _choose(page, consent, person):
    parser = _Forms()
    parser.feed(page["text"])
    for form in parser.found:
        for name, value in form["buttons"]:
            wanted = (name == "decision" and value == consent) or value == person
            if wanted or (person == "cancel" and name == "cancel"):
                return form, (name, value)
        if any(value == person for _, value in form["fields"]):
            return form, None
    raise AssertionError(f"nothing to press for {consent} or {person} at {page['url']}\n{page['text']}")

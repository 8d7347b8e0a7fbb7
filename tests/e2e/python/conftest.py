"""The real program, `anteroom dev`, on ports of its own, and the credentials of a client that uses it."""

import os
import random
import re
import socket
import subprocess
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import Browser

from mcp.shared.auth import OAuthClientMetadata

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = os.environ.get("ANTEROOM_BIN", str(TARGET / "debug" / "anteroom"))


@pytest.fixture
def anyio_backend():
    """The SDK is used with asyncio."""
    return "asyncio"


class Server:
    """`anteroom dev` and where it is; `behind` says what stands behind it."""

    def __init__(self, behind=()):
        port, standin = _free_port(), _free_port()
        self.issuer = f"http://localhost:{port}"
        self.url = f"{self.issuer}/mcp"
        dev = [BINARY, "dev", "--listen", f"127.0.0.1:{port}", "--standin", f"127.0.0.1:{standin}", *behind]
        self.process = subprocess.Popen(dev, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.output = ""
        self._ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self._ready.wait(30) or self.process.poll() is not None:
            self.stop()
            raise RuntimeError(f"anteroom dev did not start:\n{self.output}")

    def _read(self):
        # Read to the end, so that the program never waits for somebody to read its log.
        for line in self.process.stdout:
            self.output += line
            if self.url in line:
                self._ready.set()
        self._ready.set()

    def stop(self):
        """Ends it."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="session", params=[(), ("--", BINARY, "sample", "--stdio")], ids=["sample", "child"])
def server(request):
    """One server for all tests, each of which is a client of its own; and one before the same sample as a child."""
    running = Server(request.param)
    yield running
    running.stop()


class Credentials:
    """A `TokenStorage` of either SDK that keeps everything in memory, and a person at hand to sign in."""

    def __init__(self, consent="github", person="mona", **metadata):
        self.redirect_uri = f"http://127.0.0.1:{_free_port()}/callback"
        self.tokens = None
        self.client_info = None
        self.sign_ins = 0
        self.answer = {}
        self._browser = Browser()
        self._choices = {"consent": consent, "person": person}
        self.metadata = OAuthClientMetadata(
            client_name="End to end",
            redirect_uris=[self.redirect_uri],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            **{"token_endpoint_auth_method": "none", **metadata},
        )

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info):
        self.client_info = client_info

    async def redirect(self, url):
        """The person signs in at once."""
        import anyio.to_thread

        self.sign_ins += 1
        back = await anyio.to_thread.run_sync(lambda: self._browser.sign_in(url, self.redirect_uri, **self._choices))
        self.answer = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}


@pytest.fixture
def credentials():
    """Makes the credentials of a new client."""
    return Credentials


class Wire:
    """Writes down what goes over the wire: an event hook of httpx."""

    def __init__(self):
        self.seen = []

    async def __call__(self, response):
        self.seen.append((response.request.method, response.request.url.path, response.status_code, response))

    def what(self, method, path):
        """The answers to requests of this method and path."""
        return [answer for verb, at, _, answer in self.seen if (verb, at) == (method, path)]


@pytest.fixture
def wire():
    """A record of one test's traffic."""
    return Wire()


def tampered(tokens):
    """The same tokens, of which the access token is not one of the server's."""
    return tokens.model_copy(update={"access_token": re.sub(r".{8}$", "AAAAAAAA", tokens.access_token)})


def texts(result):
    """The text of a tool's answer."""
    return "\n".join(part.text for part in result.content)


def _free_port():
    # Below those that the system gives to outgoing connections, so that it stays free.
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

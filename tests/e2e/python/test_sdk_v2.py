"""The official Python SDK 2.x, in the revisions with a handshake and in the one without."""

from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from rules import *  # noqa: F403
from rules import pytestmark as pytestmark

PROVIDERS = {}
REVISIONS = {"legacy": "2025-11-25", "auto": "2026-07-28"}


@pytest.fixture(params=["legacy", "auto"])
def mode(request):
    """How the revision is found: by handshake, or by asking the server what it offers."""
    return request.param


@pytest.fixture
def revision(mode):
    """What is spoken in this mode."""
    return REVISIONS[mode]


@pytest.fixture
def provider_of():
    """The provider that is at work for these credentials."""
    return lambda credentials: PROVIDERS[id(credentials)]


@pytest.fixture
def connect(mode):
    """A session of this SDK in this mode."""

    @asynccontextmanager
    async def opened(server, credentials, wire):
        async def callback():
            answer = credentials.answer
            return AuthorizationCodeResult(code=answer.get("code", ""), state=answer.get("state"), iss=answer.get("iss"))

        provider = OAuthClientProvider(
            server.url, credentials.metadata.model_copy(), credentials, redirect_handler=credentials.redirect, callback_handler=callback
        )
        PROVIDERS[id(credentials)] = provider
        hooks = {"response": [wire]}
        async with httpx2.AsyncClient(auth=provider, event_hooks=hooks, timeout=20) as http_client:
            transport = streamable_http_client(server.url, http_client=http_client)
            async with Client(transport, mode=mode, cache=None) as session:
                yield session

    return opened

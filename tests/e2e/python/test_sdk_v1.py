"""The official Python SDK 1.x."""

from contextlib import asynccontextmanager

import httpx
import pytest
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from rules import *  # noqa: F403
from rules import pytestmark as pytestmark

PROVIDERS = {}


@pytest.fixture
def revision():
    """What this SDK speaks."""
    return "2025-11-25"


@pytest.fixture
def provider_of():
    """The provider that is at work for these credentials."""
    return lambda credentials: PROVIDERS[id(credentials)]


@pytest.fixture
def connect():
    """A session of this SDK."""
    return _connect


@asynccontextmanager
async def _connect(server, credentials, wire):
    async def callback():
        return credentials.answer.get("code"), credentials.answer.get("state")

    provider = OAuthClientProvider(
        server.url, credentials.metadata.model_copy(), credentials, redirect_handler=credentials.redirect, callback_handler=callback
    )
    PROVIDERS[id(credentials)] = provider
    hooks = {"response": [wire]}
    async with httpx.AsyncClient(auth=provider, event_hooks=hooks, timeout=20) as http_client:
        async with streamable_http_client(server.url, http_client=http_client) as (read, write, *_):
            async with ClientSession(read, write) as session:
                await session.initialize()
                yield session

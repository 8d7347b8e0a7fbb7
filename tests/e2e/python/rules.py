"""What every Python client must be able to do, whichever SDK and whichever revision of MCP it speaks.

A test module of one SDK gives `connect(server, credentials, wire)`, an asynchronous context manager that yields an MCP
session, and imports these tests.
"""

import json
import re
import urllib.error
import urllib.parse
import urllib.request

import pytest
from conftest import tampered, texts

pytestmark = pytest.mark.anyio

CALCULATOR = ["add", "subtract", "multiply", "divide", "power", "sqrt", "sin", "cos", "log", "factorial"]


# @covers RS-01, DISC-01, DISC-04, DISC-06, DISC-20, DISC-24, CLI-30, CLI-31, CONS-28
async def test_a_client_that_knows_nothing_but_the_url_finds_everything_and_signs_a_person_in(connect, server, credentials, wire):
    own = credentials()
    async with connect(server, own, wire):
        pass
    assert own.sign_ins == 1
    refused = wire.what("POST", "/mcp")[0]
    assert refused.status_code == 401
    challenge = refused.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert f'resource_metadata="{server.issuer}/.well-known/oauth-protected-resource/mcp"' in challenge

    resource = wire.what("GET", "/.well-known/oauth-protected-resource/mcp")[0].json()
    metadata = wire.what("GET", "/.well-known/oauth-authorization-server")[0].json()
    assert resource["resource"] == server.url
    assert metadata["issuer"] == server.issuer == resource["authorization_servers"][0]
    assert metadata["code_challenge_methods_supported"] == ["S256"]

    registration = wire.what("POST", "/register")[0]
    assert registration.status_code == 201
    assert "no-store" in registration.headers["cache-control"]
    registered = registration.json()
    assert registered["redirect_uris"] == [own.redirect_uri]
    assert registered["token_endpoint_auth_method"] == "none"
    assert "client_secret" not in registered
    assert None not in registered.values()
    assert {"client_id_issued_at", "grant_types", "response_types"} <= registered.keys()


# @covers AUTHZ-16, TOK-03, DISC-28
async def test_the_answer_carries_code_state_and_issuer_and_the_token_answer_is_complete(connect, server, credentials, wire):
    own = credentials()
    async with connect(server, own, wire):
        pass
    assert set(own.answer) == {"code", "state", "iss"}
    assert own.answer["iss"] == server.issuer
    token = wire.what("POST", "/token")[0]
    assert token.status_code == 200
    assert "no-store" in token.headers["cache-control"]
    answer = token.json()
    assert answer["token_type"] == "Bearer"
    assert isinstance(answer["expires_in"], int)
    assert answer["access_token"] and answer["refresh_token"] and answer["scope"]


async def test_the_revision_that_is_spoken_is_the_one_that_was_meant(connect, server, credentials, wire, revision):
    async with connect(server, credentials(), wire) as session:
        await session.list_tools()
    listed = [answer for answer in wire.what("POST", "/mcp") if answer.status_code == 200][-1]
    assert listed.request.headers["mcp-protocol-version"] == revision


# @covers HTTP-13
async def test_tools_are_listed_and_called_and_the_server_behind_knows_who_is_signed_in(connect, server, credentials, wire):
    async with connect(server, credentials(), wire) as session:
        names = [tool.name for tool in (await session.list_tools()).tools]
        assert {*CALCULATOR, "whoami"} <= set(names)
        assert re.search(r"\b42\b", texts(await session.call_tool("add", {"a": 2, "b": 40})))
        assert re.search(r"\bmona\b", texts(await session.call_tool("whoami", {})))


async def test_another_person_is_somebody_else(connect, server, credentials, wire):
    async with connect(server, credentials(person="octavia"), wire) as session:
        assert re.search(r"\boctavia\b", texts(await session.call_tool("whoami", {})))


async def test_prompts_are_listed_and_filled_in(connect, server, credentials, wire):
    async with connect(server, credentials(), wire) as session:
        prompts = (await session.list_prompts()).prompts
        for kind in ("security", "performance", "style"):
            assert any(kind in prompt.name for prompt in prompts), kind
        filled = await session.get_prompt(prompts[0].name, {"code": "let answer = 42;"})
        assert "let answer = 42;" in filled.messages[0].content.text


async def test_resources_are_listed_and_read(connect, server, credentials, wire):
    async with connect(server, credentials(), wire) as session:
        uris = [str(resource.uri) for resource in (await session.list_resources()).resources]
        for name in ("welcome.txt", "config.json", "sample.md", "oauth2-config.yaml"):
            assert any(uri.endswith(name) for uri in uris), name
        [welcome] = [uri for uri in uris if uri.endswith("welcome.txt")]
        read = await session.read_resource(welcome)
        assert "welcome" in read.contents[0].text.lower()


# @covers TOK-30, TOK-31, TOK-35
async def test_an_access_token_that_is_over_is_refreshed_without_the_person(connect, server, credentials, wire, provider_of):
    own = credentials()
    async with connect(server, own, wire) as session:
        await session.call_tool("add", {"a": 1, "b": 1})
        old = own.tokens
        # The SDK refreshes by its own clock.
        provider_of(own).context.token_expiry_time = 1.0
        assert re.search(r"\b2\b", texts(await session.call_tool("add", {"a": 1, "b": 1})))
    refreshed = wire.what("POST", "/token")[-1]
    assert refreshed.status_code == 200
    assert b"grant_type=refresh_token" in refreshed.request.content
    assert own.sign_ins == 1
    assert own.tokens.access_token != old.access_token
    assert own.tokens.refresh_token != old.refresh_token
    assert own.tokens.scope == old.scope


async def test_a_client_that_comes_back_with_stored_credentials_needs_no_person(connect, server, credentials, wire):
    own = credentials()
    async with connect(server, own, wire):
        pass
    async with connect(server, own, wire) as session:
        assert re.search(r"\bmona\b", texts(await session.call_tool("whoami", {})))
    assert own.sign_ins == 1
    assert len(wire.what("POST", "/register")) == 1


# @covers RS-05
async def test_a_token_that_is_not_one_of_ours_is_refused_and_the_person_asked(connect, server, credentials, wire):
    own = credentials()
    async with connect(server, own, wire):
        pass
    own.tokens = tampered(own.tokens)
    async with connect(server, own, wire) as session:
        assert re.search(r"\bmona\b", texts(await session.call_tool("whoami", {})))
    refused = [answer for answer in wire.what("POST", "/mcp") if answer.status_code == 401][-1]
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert own.sign_ins == 2


# @covers REV-01, REV-03, RS-05, AT-13
async def test_after_its_token_is_revoked_a_client_is_refused_at_once_and_asks_the_person_again(connect, server, credentials, wire):
    own = credentials()
    async with connect(server, own, wire) as session:
        await session.call_tool("add", {"a": 1, "b": 1})
        form = {"token": own.tokens.refresh_token, "client_id": own.client_info.client_id}
        assert post(f"{server.issuer}/revoke", form) == (200, b"")
        assert re.search(r"\bmona\b", texts(await session.call_tool("whoami", {})))
    refused = [answer for answer in wire.what("POST", "/mcp") if answer.status_code == 401][-1]
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert own.sign_ins == 2


# @covers AUTHZ-18
async def test_a_client_learns_that_the_person_refused_it(connect, server, credentials, wire):
    own = credentials(consent="deny")
    with pytest.raises(BaseException):
        async with connect(server, own, wire):
            pass
    assert own.answer["error"] == "access_denied"
    assert own.answer["iss"] == server.issuer
    assert own.tokens is None


# @covers CLI-32, TOK-20, TOK-21
@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
async def test_a_client_with_a_secret_signs_in(connect, server, credentials, wire, method):
    own = credentials(token_endpoint_auth_method=method)
    async with connect(server, own, wire) as session:
        assert re.search(r"\b3\b", texts(await session.call_tool("add", {"a": 1, "b": 2})))
    registered = wire.what("POST", "/register")[0].json()
    assert registered["client_secret"] and registered["client_secret_expires_at"] == 0
    assert own.client_info.token_endpoint_auth_method == method


def post(url, form):
    """Status and body of a form that is sent."""
    body = urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body)) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())

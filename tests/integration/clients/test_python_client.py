"""The Python client against the application, over a network that fails."""

import httpx2
import pytest

from fastapi_base_client import ApiKey, Tokens, operations, problems
from tests.integration.clients.conftest import Caller
from tests.integration.clients.faults import problem

pytestmark = pytest.mark.anyio


async def test_expired_tokens_are_refreshed_once(caller: Caller) -> None:
    good = caller.tokens[-1]
    caller.api.session.credentials = Tokens("expired", good.refresh)
    assert (await caller.api.send(operations.read_me()))["email"] == "ada@example.com"
    assert [request.url.path.rsplit("/", 1)[1] for request in caller.network.seen] == [
        "me",
        "refresh",
        "me",
    ]
    assert caller.tokens[-1] == caller.api.session.credentials != good


async def test_an_ended_session_is_an_error(caller: Caller) -> None:
    caller.api.session.credentials = Tokens("expired", "worthless")
    with pytest.raises(problems.NotAuthenticated) as caught:
        await caller.api.send(operations.read_me())
    assert caught.value.status == 401
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]


async def test_logging_out_ends_the_session(caller: Caller) -> None:
    tokens = caller.tokens[-1]
    await caller.api.log_out()
    assert caller.api.session.credentials is None
    caller.api.session.credentials = tokens
    with pytest.raises(problems.NotAuthenticated):
        await caller.api.send(operations.read_me())


async def test_an_api_key_is_used_as_it_is(caller: Caller) -> None:
    created = await caller.api.send(
        operations.create_api_key({"name": "program", "scopes": ["profile:read"]})
    )
    caller.api.session.credentials = ApiKey(created["key"])
    assert (await caller.api.send(operations.read_me()))["email"] == "ada@example.com"
    with pytest.raises(problems.InsufficientScope):
        await caller.api.send(operations.list_jobs())


async def test_errors_have_the_type_of_their_problem(caller: Caller) -> None:
    with pytest.raises(problems.InvalidRequest) as caught:
        await caller.api.send(operations.create_word_count({"text": ""}))
    assert caught.value.problem["errors"][0]["location"]
    assert "422" in str(caught.value)
    with pytest.raises(problems.NotFound):
        # A value that is no segment of a path stays within its parameter.
        await caller.api.send(operations.reset_flag("../users"))


async def test_a_lost_reply_takes_effect_once(caller: Caller) -> None:
    caller.network.after = [httpx2.ReadError("lost")]
    job = await caller.api.send(operations.create_word_count({"text": "one fish"}))
    keys = {request.headers["idempotency-key"] for request in caller.network.seen}
    assert len(caller.network.seen) == 2
    assert len(keys) == 1
    found = [one["id"] async for one in caller.api.items(operations.list_jobs())]
    assert found == [job["id"]]


async def test_a_request_that_cannot_be_repeated_is_not(caller: Caller) -> None:
    caller.network.after = [httpx2.ReadError("lost")]
    with pytest.raises(httpx2.ReadError):
        await caller.api.send(operations.update_me({"display_name": "Ada"}))
    assert len(caller.network.seen) == 1


async def test_retry_after_is_honoured(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    caller.network.before = [
        problem(429, "rate-limited", **{"retry-after": "7"}),
        problem(503, "overloaded"),
    ]
    await caller.api.send(operations.read_me())
    assert waits[0] == 7
    assert 0 < waits[1] < 0.1
    caller.network.before = [problem(429, "rate-limited", **{"retry-after": "3600"})]
    with pytest.raises(problems.RateLimited):
        await caller.api.send(operations.read_me())
    assert len(waits) == 2


async def test_pages_follow_each_other(caller: Caller) -> None:
    made = [
        (await caller.api.send(operations.create_word_count({"text": f"text {number}"})))["id"]
        for number in range(5)
    ]
    pages = [page async for page in caller.api.pages(operations.list_jobs(limit=2, total=True))]
    assert [len(page["items"]) for page in pages] == [2, 2, 1]
    assert [job["id"] for page in pages for job in page["items"]] == made[::-1]

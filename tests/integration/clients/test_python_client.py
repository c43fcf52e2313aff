"""The Python client against the real service."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from redis.asyncio import Redis

from fastapi_base_client import (
    ApiKey,
    AsyncClient,
    Client,
    JobNotSucceeded,
    Tokens,
    operations,
    problems,
)
from ops.dev.places import free_port
from tests.integration.accounts import PASSWORD
from tests.integration.clients.conftest import Caller
from tests.integration.clients.faults import Cutting, problem
from tests.integration.processes import CELERY, GUNICORN, RELAY, running, serves

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


# The examples of the README, in their order.
README = Path("clients/python/README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
WORKER = (*CELERY, "worker", "--concurrency=1")


@pytest.fixture
def service(tmp_path: Path, fresh_database_url: str, redis: Redis, redis_url: str) -> Iterator[int]:
    """The port of an API process; a relay and a worker run too."""
    given = {"DATABASE_URL": fresh_database_url, "REDIS_URL": redis_url, "API_WORKERS": "1"}
    port = free_port()
    with ExitStack() as stack:
        api = running(
            GUNICORN, tmp_path / "api.log", API_PORT=str(port), AUTH_BCRYPT_ROUNDS="4", **given
        )
        stack.enter_context(api)
        stack.enter_context(running(RELAY, tmp_path / "relay.log", **given))
        stack.enter_context(running(WORKER, tmp_path / "worker.log", **given))
        yield port


async def test_jobs_are_followed_across_broken_streams(
    service: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await serves(service)
    names: dict[str, object] = {}
    url = f"http://127.0.0.1:{service}"
    network = Cutting(times=2)
    with Client(url, transport=network) as api:
        api.send(operations.register({"email": "ada@example.com", "password": PASSWORD}))
        api.log_in("ada@example.com", PASSWORD)
        job = api.send(operations.create_word_count({"text": "one fish two fish"}))
        done = api.wait_for_job(job["id"])
        assert (done.get("result") or {})["words"] == 4
        # Each stream began after the event with which the one before had broken.
        assert network.resumed[0] is None
        assert len(set(network.resumed)) == len(network.resumed)
        assert api.wait_for_job(job["id"]) == done
        assert [one["id"] for one in api.items(operations.list_jobs())] == [job["id"]]
        tokens = api.session.credentials
    assert EXAMPLES
    monkeypatch.chdir(tmp_path)
    for code in EXAMPLES:
        exec(code.replace("https://api.example.com", url), names)  # noqa: S102
    said = capsys.readouterr().out
    assert "ada@example.com" in said
    assert "'words': 4" in said
    assert job["id"] in said
    async with AsyncClient(url, tokens) as other:
        assert await other.wait_for_job(job["id"]) == done
        with pytest.raises(problems.Conflict):
            await other.send(operations.cancel_job(job["id"]))
    with pytest.raises(JobNotSucceeded, match="is cancelled"):
        raise JobNotSucceeded({**done, "status": "cancelled"})

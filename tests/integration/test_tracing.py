"""One trace from a caller through the API, PostgreSQL, Redis and the queue to a worker."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import Settings
from fastapi_base.core.config.observability import TracingSettings
from fastapi_base.core.observability import tracing
from fastapi_base.main import create_app
from ops.measure.bench.collector import Received, receiving
from tests.calling import calling
from tests.integration import logs
from tests.integration.accounts import new_user
from tests.integration.processes import CELERY, RELAY, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def test_one_trace_from_the_caller_to_the_worker(
    tmp_path: Path, redis: Redis, redis_url: str, settings: Settings, fresh_database_url: str
) -> None:
    with receiving() as received:
        database = settings.database.model_validate({"url": fresh_database_url})
        traced = TracingSettings(endpoint=received.traces_url, sample=0)
        app = create_app(settings.model_copy(update={"tracing": traced, "database": database}))
        relay = running(
            RELAY, tmp_path / "relay.log", DATABASE_URL=fresh_database_url, REDIS_URL=redis_url
        )
        worker = running(
            (*CELERY, "worker"),
            tmp_path / "worker.log",
            DATABASE_URL=fresh_database_url,
            REDIS_URL=redis_url,
            CELERY_CONCURRENCY="1",
            TRACING_ENDPOINT=received.traces_url,
            TRACING_SAMPLE="0",
            LOG_FORMAT="json",
        )
        with relay, worker:
            async with calling(app) as client:
                headers = await new_user(client, "ada@example.com")
                # The caller's trace is recorded; no new trace starts here.
                asked = await client.post(
                    "/api/v1/jobs/word-count?code=hunter2",
                    json={"text": "one fish two fish"},
                    headers={**headers, "traceparent": f"00-{TRACE}-{PARENT}-01"},
                )
                assert asked.status_code == 202

                async def logged() -> list[dict[str, object]] | None:
                    worker_log = logs.events(tmp_path / "worker.log")
                    found = [event for event in worker_log if event.get("trace_id") == TRACE]
                    return found if found and found[-1]["event"] == "task ended" else None

                *_, line = await until(logged, "the end of the task in the worker's log", 90)
        # Both processes have ended and exported their spans.
        check(received)
    assert line["request_id"] == asked.headers["x-request-id"]
    assert line["task_id"] == asked.json()["id"]
    assert tracing.tracer() is None


def check(received: Received) -> None:
    spans = received.spans
    assert {span.trace for span in spans} == {TRACE}
    names = {span.name: span for span in spans if span.service == "fastapi-base-api"}
    done = {span.name: span for span in spans if span.service == "fastapi-base-worker"}
    server = names["POST /api/v1/jobs/word-count"]
    assert (server.service, server.parent) == ("fastapi-base-api", PARENT)
    assert server.attributes["http.route"] == "/api/v1/jobs/word-count"
    assert names["SELECT"].parent == server.id
    send, run = names["send fastapi_base.word-count"], done["run fastapi_base.word-count"]
    assert (send.parent, run.parent) == (server.id, send.id)
    # The job's row, and the worker's spans.
    assert names["INSERT"].parent == send.id
    assert done["UPDATE"].parent == run.id
    assert all(span.start <= span.end for span in spans)
    # No values of statements, arguments of commands or secrets in URLs are exported.
    for secret in (b"ada@example.com", b"fish", b"hunter2"):
        assert not [body for body in received.raw if secret in body]

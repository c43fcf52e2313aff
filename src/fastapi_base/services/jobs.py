"""Background jobs of users: enqueue one, look at it.

Redis remembers who owns a job for as long as Celery keeps its result; after that the job is gone.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

import structlog
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core.errors import NotFound, Unavailable
from fastapi_base.core.ids import uuid7
from fastapi_base.core.queue import HEARTBEAT_KEY, TaskQueue
from fastapi_base.schemas.job import JobRead, WordCount

WORD_COUNT = "fastapi_base.word_count"
HEARTBEAT = "fastapi_base.heartbeat"

log = structlog.stdlib.get_logger(__name__)

Status = Literal["queued", "running", "succeeded", "failed"]
_STATUS: dict[str, Status] = {
    "STARTED": "running",
    "RETRY": "running",
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "REVOKED": "failed",
}


class _Record(BaseModel):
    owner: uuid.UUID
    created_at: datetime


@contextmanager
def _redis_answers() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable("Redis does not answer") from error


class JobService:
    """Jobs, in the queue and in Redis. `keep_seconds` is how long a finished job can be seen."""

    def __init__(self, redis: Redis, queue: TaskQueue, keep_seconds: int) -> None:
        self._redis = redis
        self._queue = queue
        self._keep = keep_seconds

    async def count_words(self, owner: uuid.UUID, text: str) -> JobRead:
        """Enqueue a word count. Raises Unavailable when the queue cannot take it."""
        job_id = uuid7()
        record = _Record(owner=owner, created_at=datetime.now(UTC))
        # The owner first: a job that runs and that nobody may see would be worse than a record
        # without a job, which expires.
        with _redis_answers():
            await self._redis.set(_key(job_id), record.model_dump_json(), ex=self._keep)
        await self._queue.send(WORD_COUNT, str(job_id), [text])
        log.info("job enqueued", job_id=str(job_id), kind="word-count")
        return JobRead(id=job_id, kind="word-count", status="queued", created_at=record.created_at)

    async def get(self, owner: uuid.UUID, job_id: uuid.UUID) -> JobRead:
        """The job, for its owner. Raises NotFound for everybody else."""
        with _redis_answers():
            stored = await self._redis.get(_key(job_id))
        record = _Record.model_validate_json(stored) if stored else None
        if record is None or record.owner != owner:
            raise NotFound("There is no such job")
        state, result = await self._queue.result(str(job_id))
        status = _STATUS.get(state, "queued")
        return JobRead(
            id=job_id,
            kind="word-count",
            status=status,
            created_at=record.created_at,
            result=WordCount.model_validate(result) if status == "succeeded" else None,
        )


async def last_heartbeat(redis: Redis) -> datetime | None:
    """When a worker last ran the heartbeat that Beat schedules."""
    with _redis_answers():
        stored = await redis.get(HEARTBEAT_KEY)
    return datetime.fromisoformat(_text(stored)) if stored else None


def _text(stored: bytes | str) -> str:
    return stored.decode() if isinstance(stored, bytes) else stored


def _key(job_id: uuid.UUID) -> str:
    return f"fastapi-base:job:{job_id}"

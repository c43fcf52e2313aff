"""Kinds of jobs: a name, a versioned payload, a queue, and a retry policy."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from pydantic import BaseModel

from fastapi_base.core.messaging.queues import Queue


class Priority(IntEnum):
    """Within a queue the lower number goes first, as in Celery on Redis."""

    URGENT = 0
    NORMAL = 3
    LOW = 6
    BACKGROUND = 9


class EmptyPayload(BaseModel):
    """The payload of kinds whose jobs need no arguments."""


# Upgrades a payload of one version to the next.
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


class NewerPayload(Exception):
    """A newer release wrote the payload: a worker of that release has to run the job."""


@dataclass(frozen=True, slots=True)
class Kind[P: BaseModel]:
    """A kind of job. The name is stored with each job and must never change its meaning.

    Raise `version` when old payloads become incompatible, and provide in `upgrades` a function from
    each older version to the next. `attempts` is the maximum number of attempts; `first_pause` and
    `longest_pause` bound the seconds between them. `time_limit`, in seconds, must be below
    CELERY_TASK_SOFT_TIME_LIMIT, which is the default. If the kind is `private`, the payload is
    deleted when the job succeeds.
    """

    name: str
    payload: type[P]
    version: int = 1
    upgrades: Mapping[int, Upgrade] = field(default_factory=dict)
    queue: Queue = Queue.DEFAULT
    priority: Priority = Priority.NORMAL
    attempts: int = 8
    first_pause: float = 2
    longest_pause: float = 600
    time_limit: float | None = None
    private: bool = False

    def read(self, version: int, stored: Mapping[str, Any]) -> P:
        """The upgraded payload. Raises NewerPayload and pydantic.ValidationError."""
        if version > self.version:
            raise NewerPayload(f"{self.name}: payload {version}, known up to {self.version}")
        data = dict(stored)
        for old in range(version, self.version):
            data = self.upgrades[old](data)
        return self.payload.model_validate(data)

    def pause(self, attempt: int) -> float:
        """Seconds until the next attempt: exponential backoff, half of it jitter.

        Jitter keeps jobs that failed together from retrying together (Brooker, "Exponential Backoff
        and Jitter").
        """
        # A few doublings reach any bound; more would overflow.
        whole = min(self.first_pause * 2.0 ** min(attempt - 1, 30), self.longest_pause)
        return whole * random.uniform(0.5, 1)  # noqa: S311  no secret

"""What kinds of jobs are: a name, a payload with versions, a queue, and how failures are met."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from pydantic import BaseModel

from fastapi_base.core.queues import Queue


class Priority(IntEnum):
    """Within a queue the lower number goes first, as Celery on Redis has it."""

    URGENT = 0
    NORMAL = 3
    LOW = 6
    BACKGROUND = 9


class Nothing(BaseModel):
    """The payload of kinds whose jobs need not be told anything."""


# How a payload of one version becomes one of the next.
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


class NewerPayload(Exception):
    """A payload that a newer release wrote: a worker of that release has to run the job."""


@dataclass(frozen=True, slots=True)
class Kind[P: BaseModel]:
    """A kind of job. The name is stored with each job and never changes its meaning.

    Raise `version` when the payload changes so that old ones would not do, and say in `upgrades`
    how one of each older version becomes one of the next. `attempts` is how often it is begun at
    most, `first_pause` and `longest_pause` bound the seconds between. `time_limit`, in seconds,
    lies below CELERY_TASK_SOFT_TIME_LIMIT, which counts where there is none. The payload of a job
    whose kind is `private` is dropped when the job is over.
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
        """The payload, brought up to date. Raises NewerPayload and pydantic.ValidationError."""
        if version > self.version:
            raise NewerPayload(f"{self.name}: payload {version}, known up to {self.version}")
        data = dict(stored)
        for old in range(version, self.version):
            data = self.upgrades[old](data)
        return self.payload.model_validate(data)

    def pause(self, attempt: int) -> float:
        """Seconds until the next attempt: doubling, then half of it left to chance.

        Chance keeps jobs that failed together from coming back together (Brooker, "Exponential
        Backoff and Jitter").
        """
        # Few doublings reach any bound; more would overflow.
        whole = min(self.first_pause * 2.0 ** min(attempt - 1, 30), self.longest_pause)
        return whole * random.uniform(0.5, 1)  # noqa: S311  no secret

"""The queues of background jobs."""

from enum import StrEnum

LAST_PRIORITY = 9
# Celery on Redis stores a queue as one list per step; each list holds the priorities up to the
# next.
STEPS = (0, 3, 6, 9)


class Queue(StrEnum):
    """Workers consume all queues, or those selected with `--queues`."""

    DEFAULT = "fastapi-base"
    MAIL = "fastapi-base.mail"
    BULK = "fastapi-base.bulk"


def redis_list(queue: str, step: int) -> str:
    """The Redis list in which Celery stores the messages of a queue and priority step."""
    return f"{queue}\x06\x16{step}" if step else queue


def task_name(kind: str) -> str:
    """The name of the Celery task that runs jobs of this kind."""
    return f"fastapi_base.{kind}"

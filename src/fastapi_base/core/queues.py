"""The queues of background work."""

from enum import StrEnum

LAST_PRIORITY = 9


class Queue(StrEnum):
    """Workers take from all of them, or from those that they are told to (`--queues`)."""

    DEFAULT = "fastapi-base"
    MAIL = "fastapi-base.mail"
    BULK = "fastapi-base.bulk"


def task_name(kind: str) -> str:
    """The name of the Celery task that runs jobs of a kind."""
    return f"fastapi_base.{kind}"

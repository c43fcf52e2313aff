"""What a worker does on a shutdown request."""

import asyncio
import threading
import uuid

import structlog
from celery.worker import state

from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import opened
from fastapi_base.services.jobs import deaths
from fastapi_base.tasks import runtime

log = structlog.stdlib.get_logger(__name__)


def excuse(**_: object) -> None:
    """Record that running jobs are not to blame if the worker is killed before they finish.

    Called in a signal handler, so it only starts the write.
    """
    ids = [found for request in state.active_requests if (found := _job_id(request.id))]
    if ids:
        threading.Thread(target=_excuse, args=(ids,), name="excuse", daemon=True).start()


def _job_id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _excuse(ids: list[uuid.UUID]) -> None:
    settings = runtime.settings()

    async def write() -> None:
        async with opened(settings.database, "fastapi-base-worker", settings.tls) as database:
            await deaths.excuse(database, ids)

    try:
        asyncio.run(write())
    except UNAVAILABLE as error:
        log.warning("running jobs could not be excused", reason=error.detail)

"""Removes what is over."""

import structlog
from celery import shared_task

from fastapi_base.services.purge import PURGE, purge
from fastapi_base.tasks import runtime

log = structlog.stdlib.get_logger(__name__)


@shared_task(name=PURGE, ignore_result=True)  # type: ignore[untyped-decorator]
def remove_what_is_over() -> None:
    """Scheduled by Beat every CELERY_PURGE_SECONDS. What fails is done by the next run."""
    counts = runtime.run(lambda database: purge(database, runtime.settings()))
    log.info("purged", **counts)

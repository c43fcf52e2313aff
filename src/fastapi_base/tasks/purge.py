"""Removes what is over."""

import structlog
from celery import shared_task

from fastapi_base.core.flags import READ_ONLY
from fastapi_base.db.database import Database
from fastapi_base.services.purge import PURGE, purge
from fastapi_base.tasks import runtime
from fastapi_base.tasks.flags import flags

log = structlog.stdlib.get_logger(__name__)


@shared_task(name=PURGE)  # type: ignore[untyped-decorator]
def remove_what_is_over() -> None:
    """Scheduled by Beat every CELERY_PURGE_SECONDS. What fails is done by the next run.

    So is what is left while the feature flag read-only is on.
    """

    async def work(database: Database) -> dict[str, int] | None:
        if await flags().value(database, READ_ONLY):
            return None
        return await purge(database, runtime.settings())

    counts = runtime.run(work)
    if counts is None:
        log.info("nothing is removed while the service is read-only")
    else:
        log.info("purged", **counts)

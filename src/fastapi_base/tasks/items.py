"""Removes for good the items that were removed long ago."""

import structlog
from celery import shared_task

from fastapi_base.core.flags import READ_ONLY
from fastapi_base.db.database import Database
from fastapi_base.services import items
from fastapi_base.tasks import runtime
from fastapi_base.tasks.flags import flags

log = structlog.stdlib.get_logger(__name__)


@shared_task(name=items.PURGE, ignore_result=True)  # type: ignore[untyped-decorator]
def purge_items() -> None:
    """Scheduled by Beat every CELERY_PURGE_SECONDS. Running it twice removes no more."""

    async def purge(database: Database) -> int:
        if await flags().value(database, READ_ONLY):
            return 0
        async with database.transaction() as session:
            return await items.purge(session)

    log.info("purged", items=runtime.run(purge))

"""Permanently deletes items that were removed long ago."""

import structlog

from fastapi_base.core.flags import READ_ONLY
from fastapi_base.services.items import items
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import EmptyPayload
from fastapi_base.tasks.flags import flags

log = structlog.stdlib.get_logger(__name__)


async def purge_items(job: JobContext, _: EmptyPayload) -> None:
    """The work of a purge of items. Idempotent."""
    if await flags().value(job.database, READ_ONLY):
        return
    log.info("purged", items=await items.purge(job.database))

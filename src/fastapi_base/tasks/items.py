"""Removes for good the items that were removed long ago."""

import structlog

from fastapi_base.core.flags import READ_ONLY
from fastapi_base.services import items
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import Nothing
from fastapi_base.tasks.flags import flags

log = structlog.stdlib.get_logger(__name__)


async def purge_items(job: JobContext, _: Nothing) -> None:
    """The work of a purge of items. Running it twice removes no more."""
    if await flags().value(job.database, READ_ONLY):
        return
    log.info("purged", items=await items.purge(job.session))

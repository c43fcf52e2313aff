"""Removes what is over."""

import structlog

from fastapi_base.core.flags import READ_ONLY
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import Nothing
from fastapi_base.services.purge import Removed, purge
from fastapi_base.tasks.flags import flags

log = structlog.stdlib.get_logger(__name__)


async def remove_what_is_over(job: JobContext, _: Nothing) -> Removed | None:
    """The work of a purge. What fails is done by the next run.

    So is what is left while the feature flag read-only is on.
    """
    if await flags().value(job.database, READ_ONLY):
        log.info("nothing is removed while the service is read-only")
        return None
    rows = await purge(job.database, job.settings)
    log.info("purged", **rows)
    return Removed(rows=rows)

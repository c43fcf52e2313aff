"""Removes expired data."""

import structlog

from fastapi_base.core.flags import READ_ONLY
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import EmptyPayload
from fastapi_base.services.privacy.purge import Removed, purge
from fastapi_base.tasks.flags import flags

log = structlog.stdlib.get_logger(__name__)


async def remove_expired(job: JobContext, _: EmptyPayload) -> Removed | None:
    """The work of a purge. The next run repeats what failed.

    While the feature flag read-only is on, nothing is removed; a later run removes it.
    """
    if await flags().value(job.database, READ_ONLY):
        log.info("nothing is removed while the service is read-only")
        return None
    rows = await purge(job.database, job.settings)
    log.info("purged", **rows)
    return Removed(rows=rows)

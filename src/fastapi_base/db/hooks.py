"""Actions after the commit of a unit of work, such as enqueuing a task or dropping cached data."""

from collections.abc import Awaitable, Callable

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.observability import reporting

Hook = Callable[[], Awaitable[object]]

log = structlog.stdlib.get_logger(__name__)
_KEY = "fastapi_base.after_commit"


def after_commit(session: AsyncSession, hook: Hook) -> None:
    """Run `hook` after the session's unit of work is committed, before the response is sent.

    It does not run after a rollback. Hooks run sequentially, in the order of registration, outside
    the transaction. They cannot undo the change: an error in a hook is logged, not raised, and the
    next hook runs. Work that must survive a crash in between belongs in the transaction instead.
    """
    session.info.setdefault(_KEY, []).append(hook)


async def run_hooks(session: AsyncSession) -> None:
    """Called by the unit of work after its commit."""
    for hook in session.info.pop(_KEY, ()):
        try:
            await hook()
        except Exception as error:
            log.exception("a hook failed after the commit")
            reporting.capture(error)

"""What happens once a unit of work is committed: enqueue a task, drop what a cache holds."""

from collections.abc import Awaitable, Callable

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

Hook = Callable[[], Awaitable[object]]

log = structlog.stdlib.get_logger(__name__)
_KEY = "fastapi_base.after_commit"


def after_commit(session: AsyncSession, hook: Hook) -> None:
    """Run `hook` when the session's unit of work is committed, before the reply leaves.

    Never when it is rolled back. Hooks run one after another, in the order in which they came, and
    outside the transaction. The change stands whatever they do: an error of one is logged, not
    raised, and the next runs. Work that must not be lost when the process dies in between belongs
    into the transaction instead.
    """
    session.info.setdefault(_KEY, []).append(hook)


async def run_hooks(session: AsyncSession) -> None:
    """Called by the unit of work, after its commit."""
    for hook in session.info.pop(_KEY, ()):
        try:
            await hook()
        except Exception:
            log.exception("a hook failed after the commit")

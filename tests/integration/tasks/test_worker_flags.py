"""Feature flags in a worker keep their last values while the database does not answer."""

from collections.abc import Callable

import pytest

from fastapi_base.core.config import Settings
from fastapi_base.core.flags import READ_ONLY
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.flags.flags import Snapshot
from fastapi_base.tasks.flags import WorkerFlags

pytestmark = pytest.mark.anyio


async def test_exhausted_pool_does_not_fail_the_evaluation_of_a_flag(
    make_settings: Callable[[str], Settings], database_url: str
) -> None:
    few = {"pool_size": 1, "pool_overflow": 0, "pool_timeout": 0.1}
    engine = create_engine(make_settings(database_url).database.model_copy(update=few))
    database = EngineDatabase(engine)
    flags = WorkerFlags(Snapshot({READ_ONLY.name: True}), 0)
    async with database.read():
        assert await flags.value(database, READ_ONLY) is True
    await engine.dispose()

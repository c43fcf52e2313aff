"""SQL comments show in PostgreSQL which request caused a statement."""

import pytest
import structlog
from sqlalchemy import text

from fastapi_base.core.config import Settings
from fastapi_base.db.engine import create_engine

pytestmark = pytest.mark.anyio
MINE = text("SELECT current_query()")


@pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
async def test_statements_carry_a_comment_with_their_request(settings: Settings, on: bool) -> None:
    database = settings.database.model_copy(update={"sql_comments": on})
    engine = create_engine(database)
    try:
        evil = "x*/; DROP TABLE users; --'"
        async with engine.connect() as connection:
            with structlog.contextvars.bound_contextvars(request_id="r-1", task=evil):
                seen = (await connection.execute(MINE)).scalar_one()
            plain = (await connection.execute(MINE)).scalar_one()
    finally:
        await engine.dispose()
    assert plain == str(MINE)
    comment = "/*request_id='r-1',task='x%2A%2F%3B%20DROP%20TABLE%20users%3B%20--%27'*/"
    assert seen == (f"{MINE} {comment}" if on else str(MINE))

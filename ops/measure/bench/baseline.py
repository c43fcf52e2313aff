"""The baseline: the cost of a service that does only the work itself.

A bare ASGI program on asyncpg, PyJWT and orjson, without framework, validation, log or limits. The
difference to this is the price of a real service.
"""

import datetime
import os
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import asyncpg
import jwt
import orjson

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]

_SECRET = os.environ["AUTH_JWT_SECRET"]
_USER = "SELECT id, email, is_active, is_superuser, created_at, updated_at FROM users WHERE id = $1"
# begin slice: items
_FIELDS = "id, title, description, version, created_at, updated_at"
_LIST = (
    f"SELECT {_FIELDS} FROM items WHERE owner_id = $1 AND deleted_at IS NULL"  # noqa: S608
    " AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT 51"
)
_CREATE = (
    "INSERT INTO items (id, owner_id, title, description)"
    " VALUES ($1, $2, $3, $4)"
    " RETURNING id, title, description, version, created_at, updated_at"
)
# end slice: items
_JSON = [(b"content-type", b"application/json")]
_LAST = uuid.UUID(int=2**128 - 1)  # slice: items
_pool: asyncpg.Pool | None = None


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Serve the paths of the workloads in api.py."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    status, body = 200, b'{"status":"ok"}'
    if scope["path"] == "/api/v1/users/me":
        assert _pool
        row = await _pool.fetchrow(_USER, _caller(scope))
        body = orjson.dumps(dict(row), default=str)
    # begin slice: items
    elif scope["path"] == "/api/v1/items":
        status, body = await _items(scope, receive)
    # end slice: items
    await send({"type": "http.response.start", "status": status, "headers": _JSON})
    await send({"type": "http.response.body", "body": body})


def _caller(scope: Message) -> uuid.UUID:
    headers = dict(scope["headers"])
    claims = jwt.decode(
        headers[b"authorization"].removeprefix(b"Bearer "),
        _SECRET,
        algorithms=["HS256"],
        audience="fastapi-base-api",
        issuer="fastapi-base",
    )
    return uuid.UUID(claims["sub"])


# begin slice: items
async def _items(scope: Message, receive: Receive) -> tuple[int, bytes]:
    assert _pool
    owner = _caller(scope)
    if scope["method"] == "GET":
        now = datetime.datetime.now(datetime.UTC)
        rows = await _pool.fetch(_LIST, owner, now, _LAST)
        page = {"items": [dict(row) for row in rows[:50]], "next": str(rows[-1]["id"])}
        return 200, orjson.dumps(page, default=str)
    sent = orjson.loads((await receive())["body"])
    row = await _pool.fetchrow(_CREATE, uuid.uuid4(), owner, sent["title"], sent.get("description"))
    return 201, orjson.dumps(dict(row), default=str)


# end slice: items
async def _lifespan(receive: Receive, send: Send) -> None:
    global _pool
    await receive()
    url = os.environ["DATABASE_URL"].replace("+asyncpg", "")
    _pool = await asyncpg.create_pool(url, min_size=10, max_size=10)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _pool.close()
    await send({"type": "lifespan.shutdown.complete"})

"""The limit: what a service costs that does nothing beyond the work itself.

A bare ASGI program on asyncpg, PyJWT and orjson, with no framework, validation, log or limits. What
it costs more than this is the price of a real service.
"""

import os
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import asyncpg
import jwt
import orjson

type Message = MutableMapping[str, Any]

_SECRET = os.environ["AUTH_JWT_SECRET"]
_USER = "SELECT id, email, is_active, is_superuser, created_at, updated_at FROM users WHERE id = $1"
_JSON = [(b"content-type", b"application/json")]
_pool: asyncpg.Pool | None = None


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Serve `/health/live` and `/api/v1/users/me`."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    body = b'{"status":"ok"}'
    if scope["path"] != "/health/live":
        headers = dict(scope["headers"])
        token = headers[b"authorization"].removeprefix(b"Bearer ")
        claims = jwt.decode(
            token,
            _SECRET,
            algorithms=["HS256"],
            audience="fastapi-base-api",
            issuer="fastapi-base",
        )
        assert _pool
        row = await _pool.fetchrow(_USER, uuid.UUID(claims["sub"]))
        body = orjson.dumps(dict(row), default=str)
    await send({"type": "http.response.start", "status": 200, "headers": _JSON})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    global _pool
    await receive()
    url = os.environ["DATABASE_URL"].replace("+asyncpg", "")
    _pool = await asyncpg.create_pool(url, min_size=10, max_size=10)
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await _pool.close()
    await send({"type": "lifespan.shutdown.complete"})

"""Idempotency keys for routes: `once: OnceDep`, then `return await once(Model, work, ...)`."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from python_multipart.multipart import parse_options_header
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.api.deps import CurrentCaller, ResourcesDep
from fastapi_base.db.session import Database
from fastapi_base.models.idempotency import KEY_LENGTH
from fastapi_base.schemas.identity.user import UserRead
from fastapi_base.services.limits import idempotency
from fastapi_base.services.limits.idempotency import StoredReply
from fastapi_base.utils.statements import InSession, StatementRunner

REPLAYED = "idempotency-replayed"
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="A unique key of the request, preferably a UUID. A repeated request with the"
        " same key has no further effect and returns the first response.",
        min_length=1,
        max_length=KEY_LENGTH,
        pattern=r"^[\x21-\x7e]+$",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]


class Once:
    """Performs the work of a request unless its idempotency key shows that it was done."""

    def __init__(
        self,
        database: Database,
        response: Response,
        user: UserRead,
        key: str | None,
        fingerprint: bytes,
        keep: timedelta,
    ) -> None:
        self._database = database
        self._response = response
        self._user = user
        self._key = key
        self._fingerprint = fingerprint
        self._keep = keep

    async def __call__[T: BaseModel](
        self, model: type[T], work: Callable[[AsyncSession], Awaitable[T]], *, status: int
    ) -> T:
        """The result of `work`, or the stored first result with its status and headers.

        `work` must write only through the session it receives, which commits before this returns.
        If `work` raises, nothing is stored, and the next attempt performs the work.
        """
        async with self._database.transaction() as session:
            if self._key is None:
                return await work(session)
            return await self._keyed(self._key, session, model, work, status)

    async def single_statement[T: BaseModel](
        self, model: type[T], work: Callable[[StatementRunner], Awaitable[T]], *, status: int
    ) -> T:
        """The same for work that is a single statement; without a key it needs no transaction."""
        if self._key is None:
            return await work(self._database)
        return await self(model, lambda session: work(InSession(session)), status=status)

    async def _keyed[T: BaseModel](
        self,
        key: str,
        session: AsyncSession,
        model: type[T],
        work: Callable[[AsyncSession], Awaitable[T]],
        status: int,
    ) -> T:
        owner = self._user.id
        stored = await idempotency.begin(session, owner, key, self._fingerprint, self._keep)
        if stored:
            self._response.status_code = stored.status
            self._response.headers.update(stored.headers)
            self._response.headers[REPLAYED] = "true"
            return model.model_validate_json(stored.body)
        result = await work(session)
        headers = dict(self._response.headers)
        reply = StoredReply(status, headers, result.model_dump_json().encode())
        await idempotency.finish(session, owner, key, reply)
        return result


async def _once(
    request: Request,
    response: Response,
    principal: CurrentCaller,
    resources: ResourcesDep,
    key: IdempotencyKey = None,
) -> Once:
    fingerprint = b"" if key is None else await _fingerprint(request)
    keep = timedelta(hours=resources.settings.api.idempotency_hours)
    return Once(resources.database, response, principal.user, key, fingerprint, keep)


async def _fingerprint(request: Request) -> bytes:
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hashlib.sha256(asked + _repeatable(request, await request.body())).digest()


def _repeatable(request: Request, body: bytes) -> bytes:
    """The body without the boundary of a form, which clients choose anew for each attempt."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        return body
    # Delimiters are at the start of a line (RFC 2046, 5.1.1).
    return (b"\r\n" + body).replace(b"\r\n--" + boundary, b"\r\n--")


OnceDep = Annotated[Once, Depends(_once)]

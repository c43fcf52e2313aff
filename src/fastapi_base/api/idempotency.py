"""Idempotency keys for routes: `once: OnceDep`, then `return await once(Model, work)`."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.api.deps import ResourcesDep, SessionDep, WhoeverCalls
from fastapi_base.models.idempotency import KEY_LENGTH
from fastapi_base.schemas.user import UserRead
from fastapi_base.services import idempotency
from fastapi_base.services.idempotency import StoredReply

REPLAYED = "idempotency-replayed"
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Any text that this request alone has, best a UUID. Sent again with the same"
        " key, the request has no second effect and gets the first reply.",
        min_length=1,
        max_length=KEY_LENGTH,
        pattern=r"^[\x21-\x7e]+$",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]


class Once:
    """Does the work of a request unless its key says that it was done."""

    def __init__(
        self,
        session: AsyncSession,
        response: Response,
        user: UserRead,
        key: str | None,
        fingerprint: bytes,
        keep: timedelta,
    ) -> None:
        self._session = session
        self._response = response
        self._user = user
        self._key = key
        self._fingerprint = fingerprint
        self._keep = keep

    async def __call__[T: BaseModel](
        self, model: type[T], work: Callable[[], Awaitable[T]], *, status: int
    ) -> T:
        """What `work` returns, or what it returned the first time, with status and headers.

        `work` writes by the request's own session alone. When it raises, nothing is kept, and the
        next attempt does the work.
        """
        if self._key is None:
            return await work()
        owner = self._user.id
        stored = await idempotency.begin(
            self._session, owner, self._key, self._fingerprint, self._keep
        )
        if stored:
            self._response.status_code = stored.status
            self._response.headers.update(stored.headers)
            self._response.headers[REPLAYED] = "true"
            return model.model_validate_json(stored.body)
        result = await work()
        headers = dict(self._response.headers)
        reply = StoredReply(status, headers, result.model_dump_json().encode())
        await idempotency.finish(self._session, owner, self._key, reply)
        return result


async def _once(
    request: Request,
    response: Response,
    session: SessionDep,
    principal: WhoeverCalls,
    resources: ResourcesDep,
    key: IdempotencyKey = None,
) -> Once:
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    fingerprint = hashlib.sha256(asked + await request.body()).digest()
    keep = timedelta(hours=resources.settings.api.idempotency_hours)
    return Once(session, response, principal.user, key, fingerprint, keep)


OnceDep = Annotated[Once, Depends(_once)]

"""How a call is carried out, without input and output: both clients drive the same steps."""

import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import httpx2

from fastapi_base_client import operations
from fastapi_base_client.call import Call, parameters
from fastapi_base_client.errors import error_of
from fastapi_base_client.models import TokenRead
from fastapi_base_client.retries import Retries
from fastapi_base_client.version import VERSION


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session. The refresh token changes with each refresh."""

    access: str
    refresh: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The API key of a program."""

    key: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A step: do nothing for some seconds."""

    seconds: float


type Outcome = httpx2.Response | httpx2.TransportError | None
type Steps = Generator[httpx2.Request | Wait, Outcome, httpx2.Response]


class Session:
    """The credentials of a client, and how it sends requests."""

    def __init__(
        self,
        base_url: str,
        credentials: Tokens | ApiKey | None,
        retries: Retries,
        on_tokens: Callable[[Tokens], None] | None,
    ) -> None:
        self._base = base_url.rstrip("/")
        self.credentials = credentials
        self._retries = retries
        self._on_tokens = on_tokens

    def adopt(self, reply: Any) -> None:
        """Use the tokens of the reply to a login. Raises ValueError for a reply without tokens."""
        if "access_token" not in reply or not reply.get("refresh_token"):
            raise ValueError("the login returned no tokens: use the default mode, 'tokens'")
        self.credentials = Tokens(reply["access_token"], reply["refresh_token"])
        if self._on_tokens is not None:
            self._on_tokens(self.credentials)

    def steps(self, call: Call[Any]) -> Steps:
        """The steps of a call; returns the response. Raises ApiError and TransportError."""
        key = str(uuid.uuid4()) if call.once else None
        used = self.credentials
        response = yield from self._attempts(call, key)
        expired = response.status_code == 401 and not call.public
        if expired and isinstance(used, Tokens) and (yield from self._refreshed(used)):
            response = yield from self._attempts(call, key)
        if response.is_error:
            raise error_of(response)
        return response

    def _attempts(self, call: Call[Any], key: str | None) -> Steps:
        attempt = 0
        while True:
            attempt += 1
            request = self._request(call, key)
            outcome = yield request
            assert outcome is not None
            if isinstance(outcome, httpx2.Response) and not outcome.is_error:
                return outcome
            seconds = self._retries.wait(request, outcome, attempt)
            if seconds is not None:
                yield Wait(seconds)
            elif isinstance(outcome, httpx2.Response):
                return outcome
            else:
                raise outcome

    def _refreshed(self, used: Tokens) -> Generator[httpx2.Request | Wait, Outcome, bool]:
        """Exchange the refresh token, unless another call has done so meanwhile.

        Calls at the same time may refresh the same tokens: the API allows that.
        """
        if self.credentials != used:
            return True
        call = operations.refresh({"refresh_token": used.refresh})
        response = yield from self._attempts(call, None)
        if response.is_error:
            return False
        reply: TokenRead = response.json()
        self.adopt(reply)
        return True

    def _request(self, call: Call[Any], key: str | None) -> httpx2.Request:
        headers = {"User-Agent": f"fastapi-base-client/{VERSION}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        if call.media_type is not None:
            headers["Content-Type"] = call.media_type
        if not call.public and isinstance(self.credentials, Tokens):
            headers["Authorization"] = f"Bearer {self.credentials.access}"
        elif not call.public and isinstance(self.credentials, ApiKey):
            headers["Authorization"] = f"Bearer {self.credentials.key}"
        headers |= {name: value for name, value in call.headers.items() if value is not None}
        return httpx2.Request(
            call.method,
            self._base + call.path,
            params=httpx2.QueryParams(parameters(call.query)) or None,
            headers=headers,
            json=call.json,
            data=call.form,
            content=call.content,
        )

"""The synchronous client."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self, cast

import httpx2

from fastapi_base_client import operations
from fastapi_base_client.call import Call, PageCall, PageRead
from fastapi_base_client.errors import ApiError
from fastapi_base_client.events import Parser
from fastapi_base_client.exchange import ApiKey, Outcome, Session, Steps, Tokens, Wait
from fastapi_base_client.jobs import ENDED, Progress, succeeded
from fastapi_base_client.models import JobRead
from fastapi_base_client.reply import Reply, reply_of
from fastapi_base_client.retries import Retries

#: How often `edit` reads again after somebody else changed the resource.
EDITS = 5
#: The status of a change of another version (RFC 9110).
CHANGED = 412


class Client:
    """Calls the API. It can be used by several threads at the same time.

    `on_tokens` is called with the tokens of each login and refresh, for example to store them.
    """

    def __init__(
        self,
        base_url: str,
        credentials: Tokens | ApiKey | None = None,
        *,
        timeout: float = 30.0,
        retries: Retries | None = None,
        on_tokens: Callable[[Tokens], None] | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.session = Session(base_url, credentials, retries or Retries(), on_tokens)
        self._http = httpx2.Client(timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        """Close the connections at the end of the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections. The session of the account stays open: see `log_out`."""
        self._http.close()

    def log_in(self, email: str, password: str) -> None:
        """Use the tokens of a new session from now on.

        Raises `problems.SecondFactorRequired` for an account with a second factor: send
        `operations.login_second_factor` then, and pass its reply to `session.adopt`.
        """
        self.session.adopt(self.send(operations.login({"username": email, "password": password})))

    def log_out(self) -> None:
        """End the session."""
        self.send(operations.logout())
        self.session.credentials = None

    def send[T](self, call: Call[T]) -> T:
        """Carry out a call. Raises ApiError, or TransportError without an answer."""
        return self.reply(call).value

    def reply[T](self, call: Call[T]) -> Reply[T]:
        """Like `send`, with the response, such as its ETag."""
        response = self._drive(self.session.steps(call), stream=False)
        return reply_of(call, response)

    @contextmanager
    def stream(self, call: Call[bytes]) -> Iterator[httpx2.Response]:
        """The response of a call before its body is read: `iter_bytes()`, `iter_lines()`."""
        response = self._drive(self.session.steps(call), stream=True)
        try:
            yield response
        finally:
            response.close()

    def pages[P, I](self, call: PageCall[P, I]) -> Iterator[P]:
        """The page of a call, and all pages after it."""
        following: PageCall[P, I] | None = call
        while following is not None:
            page = self.send(following)
            yield page
            cursor = cast("PageRead", page).get("next")
            following = call.after(cursor) if cursor else None

    def items[P, I](self, call: PageCall[P, I]) -> Iterator[I]:
        """The objects of a list, from the page of a call on."""
        for page in self.pages(call):
            yield from cast("PageRead", page)["items"]

    def edit[T, U](self, read: Call[T], change: Callable[[T], Call[U]]) -> U:
        """Change a resource without losing the change of somebody else.

        `change` returns the call for the current value. If that has changed meanwhile, both are
        done again, up to `EDITS` times. Raises the ApiError with status 412 then.
        """
        for attempt in range(1, EDITS + 1):
            current = self.reply(read)
            if not current.etag:
                raise ValueError("the resource has no ETag")
            try:
                return self.send(change(current.value).with_headers(if_match=current.etag))
            except ApiError as error:
                if error.status != CHANGED or attempt == EDITS:
                    raise
        raise AssertionError

    def watch_job(self, job_id: str) -> Iterator[JobRead]:
        """A job now and after each of its changes, until it has ended. Resumes broken streams."""
        progress = Progress()
        while True:
            parser, broken = Parser(), None
            try:
                with self.stream(progress.call(job_id)) as response:
                    progress.opened(response)
                    for line in response.iter_lines():
                        if event := parser.feed(line):
                            yield progress.seen(event)
            except httpx2.TransportError as error:
                broken = error
            if progress.over:
                return
            time.sleep(progress.pause(broken))

    def wait_for_job(self, job_id: str) -> JobRead:
        """The job once it has succeeded. Raises JobNotSucceeded if it failed or was cancelled."""
        for job in self.watch_job(job_id):
            if job["status"] in ENDED:
                return succeeded(job)
        return succeeded(self.send(operations.read_job(job_id)))

    def _drive(self, steps: Steps, *, stream: bool) -> httpx2.Response:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                response: httpx2.Response = done.value
                return response
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                outcome = None
                continue
            try:
                outcome = self._http.send(step, stream=stream)
                if outcome.is_error:
                    outcome.read()
            except httpx2.TransportError as error:
                outcome = error

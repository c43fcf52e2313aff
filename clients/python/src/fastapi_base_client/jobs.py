"""Follows a job by server-sent events, across breaks of the stream."""

import json

import httpx2

from fastapi_base_client import operations
from fastapi_base_client.call import Call
from fastapi_base_client.errors import JobNotSucceeded
from fastapi_base_client.events import Event
from fastapi_base_client.models import JobRead

#: The states of a job that does not run any more.
ENDED = frozenset({"succeeded", "failed", "cancelled"})
#: Breaks in a row, without an event between them, after which a caller gets the error.
BREAKS = 5


class Progress:
    """What is known of a job; `over` once no more events follow."""

    def __init__(self) -> None:
        self.over = False
        self._id: str | None = None
        self._breaks = 0

    def call(self, job_id: str) -> Call[bytes]:
        """The request for the events after the last one."""
        return operations.watch_job(job_id, last_event_id=self._id)

    def opened(self, response: httpx2.Response) -> None:
        """A stream has begun; without content, no events remain."""
        self.over = response.status_code == 204

    def seen(self, event: Event) -> JobRead:
        """The job in an event."""
        job: JobRead = json.loads(event.data)
        self._id, self._breaks = event.id, 0
        self.over = job["status"] in ENDED
        return job

    def pause(self, error: httpx2.TransportError | None = None) -> float:
        """The seconds until the stream is opened again. Raises the error after too many breaks."""
        self._breaks += 1
        if self._breaks > BREAKS:
            raise error or httpx2.RemoteProtocolError("the stream of events ends again and again")
        return float(min(0.1 * 2**self._breaks, 5.0))


def succeeded(job: JobRead) -> JobRead:
    """The job, which has ended. Raises JobNotSucceeded unless it has succeeded."""
    if job["status"] != "succeeded":
        raise JobNotSucceeded(job)
    return job

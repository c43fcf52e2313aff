"""Errors of calls. `problems` has a class for each type of problem document."""

from typing import Any, ClassVar

import httpx2

from fastapi_base_client.models import JobRead


class ClientError(Exception):
    """Any error of this package."""


class ApiError(ClientError):
    """The API answered with an error (RFC 9457)."""

    #: The last part of the problem's type; empty for an error without a problem document.
    code: ClassVar[str] = ""

    def __init__(self, response: httpx2.Response, problem: dict[str, Any]) -> None:
        self.response = response
        #: The problem document; without one, its title is the reason of the status.
        self.problem = problem
        self.status = response.status_code
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        #: Quote it to the operators.
        self.request_id = problem.get("request_id") or response.headers.get("x-request-id")
        more = f": {self.detail}" if self.detail else ""
        super().__init__(f"{self.status} {self.title}{more}")


class JobNotSucceeded(ClientError):
    """A job failed or was cancelled."""

    def __init__(self, job: JobRead) -> None:
        self.job = job
        super().__init__(f"job {job['id']} is {job['status']}: {job.get('error') or 'no error'}")


def error_of(response: httpx2.Response) -> ApiError:
    """The error that a response, which was read, stands for."""
    from fastapi_base_client import problems  # It imports this module.

    known: dict[str, type[ApiError]] = {
        kind.code: kind for kind in vars(problems).values() if _is_problem(kind)
    }
    problem: dict[str, Any] = {"title": response.reason_phrase}
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        problem = response.json()
    code = str(problem.get("type", "")).rsplit(":", 1)[-1]
    return known.get(code, ApiError)(response, problem)


def _is_problem(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, ApiError) and kind is not ApiError

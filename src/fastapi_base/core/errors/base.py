"""The base class of domain errors."""

from collections.abc import Mapping
from typing import Any, ClassVar


class DomainError(Exception):
    """The base class of all expected failures.

    `code` is stable and machine-readable. `title` names the kind of failure, `detail` this
    occurrence. `extra` holds additional members of the response. `retry_after` is in seconds.
    """

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "The request failed"
    retry_after: int | None = None

    def __init__(self, detail: str | None = None, *, extra: Mapping[str, Any] | None = None):
        self.detail = detail or self.title
        self.extra = dict(extra or {})
        super().__init__(self.detail)


def cause(error: BaseException) -> str:
    """The type and message of the root cause, for a log."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"

"""Which requests are sent again, and after how long."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Retries:
    """At most `attempts` per call. Waits double from `first` to `longest` seconds, with jitter.

    A longer `Retry-After` than `longest` is not waited for: the call fails with the error.
    """

    attempts: int = 4
    first: float = 0.2
    longest: float = 20.0

    def wait(
        self, request: httpx2.Request, outcome: httpx2.Response | Exception, attempt: int
    ) -> float | None:
        """Seconds until the next attempt after the `attempt`-th; None to give up.

        A request that may have taken effect is repeated only if that changes nothing: by its
        method, or because it has an Idempotency-Key.
        """
        if attempt >= self.attempts:
            return None
        repeatable = request.method in _SAFE or "idempotency-key" in request.headers
        jitter = random.uniform(0.5, 1)  # noqa: S311
        backoff: float = min(self.longest, self.first * 2.0 ** (attempt - 1)) * jitter
        if isinstance(outcome, Exception):
            # A request that was not sent took no effect.
            unsent = isinstance(outcome, httpx2.ConnectError | httpx2.ConnectTimeout)
            return backoff if repeatable or unsent else None
        refused = outcome.status_code == 429
        if not refused and not (repeatable and outcome.status_code in (502, 503, 504)):
            return None
        asked = retry_after(outcome)
        if asked is None:
            return backoff
        return max(asked, 0.0) if asked <= self.longest else None


def retry_after(response: httpx2.Response) -> float | None:
    """The seconds that `Retry-After` asks for, as a number or a date; None without either."""
    given = response.headers.get("retry-after", "")
    if given.isdigit():
        return float(given)
    try:
        date = parsedate_to_datetime(given)
    except ValueError:
        return None
    return (date - datetime.now(UTC)).total_seconds() if date.tzinfo else None

"""Rate quotas in the format of the settings: 600/minute."""

import re
from dataclasses import dataclass
from typing import Self

_QUOTA = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` requests in `seconds`; they may arrive in a single burst."""

    limit: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a quota such as `600/minute`. Raises ValueError naming the expected form."""
        match = _QUOTA.fullmatch(text.strip())
        if not match:
            raise ValueError("must look like 600/minute (second, minute, hour or day)")
        return cls(int(match[1]), _SECONDS[match[2]])

    @property
    def interval(self) -> int:
        """Microseconds after which one request is available again."""
        return max(1, self.seconds * 1_000_000 // self.limit)

    @property
    def window(self) -> int:
        """Microseconds after which the whole quota is available again."""
        return self.interval * self.limit


@dataclass(frozen=True, slots=True)
class RouteQuota:
    """A quota for all routes whose method and path start with `prefix`."""

    prefix: str
    quota: Quota

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `POST /api/v1/jobs=60/minute`. Raises ValueError naming the expected form."""
        prefix, _, quota = text.partition("=")
        method, _, path = prefix.strip().partition(" ")
        if not (method.isupper() and path.startswith("/")):
            raise ValueError("must look like POST /api/v1/jobs=60/minute")
        return cls(f"{method} {path}", Quota.parse(quota))

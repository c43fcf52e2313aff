"""Where a request comes from, for sessions and the audit log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Address, program and id of a request. None where there is none, as for a command."""

    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None

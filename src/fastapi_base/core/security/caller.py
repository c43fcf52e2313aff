"""Where a request comes from, for sessions and the audit log."""

from dataclasses import dataclass
from typing import Self

ADDRESS_LENGTH = 45
USER_AGENT_LENGTH = 256
REQUEST_ID_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Origin:
    """Address, program and id of a request. None where there is none, as for a command."""

    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None

    @classmethod
    def of(cls, address: str | None, user_agent: str | None, request_id: str | None) -> Self:
        """Of what a stranger sent, what can be kept and shown."""
        return cls(
            _clean(address, ADDRESS_LENGTH),
            _clean(user_agent, USER_AGENT_LENGTH),
            _clean(request_id, REQUEST_ID_LENGTH),
        )


def _clean(text: str | None, length: int) -> str | None:
    """No control characters (they forge lines in logs and terminals), and not too much."""
    return "".join(filter(str.isprintable, text or ""))[:length] or None

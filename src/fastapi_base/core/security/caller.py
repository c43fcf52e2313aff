"""The origin of a request, for sessions and the audit log."""

from dataclasses import dataclass
from typing import Self

ADDRESS_LENGTH = 45
USER_AGENT_LENGTH = 256
REQUEST_ID_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Origin:
    """IP address, user agent and id of a request. None where there is none, as for commands."""

    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None

    @classmethod
    def of(cls, address: str | None, user_agent: str | None, request_id: str | None) -> Self:
        """Build an origin from untrusted values: sanitised and truncated."""
        return cls(
            _clean(address, ADDRESS_LENGTH),
            _clean(user_agent, USER_AGENT_LENGTH),
            _clean(request_id, REQUEST_ID_LENGTH),
        )


def _clean(text: str | None, length: int) -> str | None:
    """Remove non-printable characters, which could forge log lines, and truncate the text."""
    return "".join(filter(str.isprintable, text or ""))[:length] or None

"""The reply to a call."""

import json
from dataclasses import dataclass
from typing import Any

import httpx2

from fastapi_base_client.call import Call


@dataclass(frozen=True, slots=True)
class Reply[T]:
    """What a call returned, and the response around it."""

    value: T
    response: httpx2.Response

    @property
    def etag(self) -> str:
        """The version of the resource, for `if_match` and `if_none_match`; empty if it has none."""
        return str(self.response.headers.get("etag", ""))

    @property
    def not_modified(self) -> bool:
        """Whether the resource still is as `if_none_match` names it; there is no value then."""
        return self.response.status_code == 304


def reply_of[T](call: Call[T], response: httpx2.Response) -> Reply[T]:
    """The reply in a response that was read."""
    value: Any = response.content or None
    if value and response.headers.get("content-type", "").startswith("application/json"):
        value = json.loads(value)
    return Reply(value, response)

"""HTTP as registries need it: retries, redirects without credentials, TLS except on loopback."""

import email.utils
import http.client
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO

from ops.build.oci.errors import OciError

_TIMEOUT = 60.0
_ATTEMPTS = 5
_REDIRECTS = 5
#: Seconds before the second attempt; each later pause is twice as long.
_PAUSE = 0.5
#: What a registry may ask to wait; beyond, waiting is up to the caller.
_LONGEST_PAUSE = 60.0
_BUSY = (429, 500, 502, 503, 504)
_MOVED = (301, 302, 303, 307, 308)

type Body = bytes | IO[bytes] | None
type Wait = Callable[[float], None]


@dataclass(frozen=True)
class Reply:
    """The response of a registry; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""


@dataclass(frozen=True)
class Transport:
    """Sends requests. ``plain`` permits HTTP, to loopback only; ``wait`` sleeps for seconds."""

    plain: bool = False
    wait: Wait = time.sleep

    def send(
        self,
        method: str,
        url: str,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        *,
        attempts: int = _ATTEMPTS,
    ) -> Reply:
        """The response, after redirects of GET.

        Refused connections, broken ones, 429 and server errors are retried with growing pauses, or
        after the `Retry-After` of the response. Raises OciError if none of the attempts gets a
        response.
        """
        pause = _PAUSE
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            try:
                reply = self._follow(method, url, body, dict(headers or {}))
            except (OSError, http.client.HTTPException) as error:
                if last:
                    host, path = urllib.parse.urlsplit(url)[1:3]
                    raise OciError(f"{host}: {method} {path}: {error}") from error
                self.wait(pause)
            else:
                if reply.status not in _BUSY or last:
                    return reply
                asked = _retry_after(reply.headers.get("retry-after", ""))
                if asked > _LONGEST_PAUSE:
                    return reply
                self.wait(max(pause, asked))
            pause *= 2
        raise AssertionError("unreachable")

    def _follow(self, method: str, url: str, body: Body, headers: dict[str, str]) -> Reply:
        for _ in range(_REDIRECTS):
            reply = self._once(method, url, body, headers)
            place = reply.headers.get("location", "")
            if method != "GET" or reply.status not in _MOVED or not place:
                return reply
            target = urllib.parse.urljoin(url, place)
            if _origin(target) != _origin(url):
                # Credentials are for the registry, not for the storage that it redirects to.
                headers.pop("Authorization", None)
            url = target
        raise OciError(f"{urllib.parse.urlsplit(url).netloc}: redirects {_REDIRECTS} times")

    def _once(self, method: str, url: str, body: Body, headers: Mapping[str, str]) -> Reply:
        scheme, host, path, query, _ = urllib.parse.urlsplit(url)
        if scheme != "https" and not (scheme == "http" and self.plain and loopback(host)):
            raise OciError(f"{url.partition('?')[0]}: the address must be https")
        kind = http.client.HTTPConnection if scheme == "http" else http.client.HTTPSConnection
        connection = kind(host, timeout=_TIMEOUT)
        if body and not isinstance(body, bytes):
            body.seek(0)
        try:
            connection.request(method, f"{path}?{query}" if query else path, body, dict(headers))
            reply = connection.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Reply(reply.status, found, reply.read(), url)
        finally:
            connection.close()


def loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine."""
    return host.rsplit(":", 1)[0] in ("localhost", "127.0.0.1")


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _retry_after(value: str) -> float:
    """Seconds of a `Retry-After` header, which holds them or a date (RFC 9110, 10.2.3)."""
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0

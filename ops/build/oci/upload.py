"""Uploads a blob: in one request, or in chunks where a registry asks for them."""

import re
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Protocol

from ops.build.oci.errors import OciError
from ops.build.oci.transport import Body, Reply

#: Bytes of a chunk, if the registry does not ask for larger ones.
CHUNK = 16 * 1024 * 1024
_RESUMES = 5
_TYPE = {"Content-Type": "application/octet-stream"}
_BROKEN = (408, 416, 429, 500, 502, 503, 504)


class Send(Protocol):
    """Sends a request with the registry's credentials; raises OciError for other statuses."""

    def __call__(
        self,
        method: str,
        url: str,
        body: Body,
        headers: Mapping[str, str],
        *,
        expect: Iterable[int],
        attempts: int = ...,
    ) -> Reply: ...


@dataclass(frozen=True)
class Upload:
    """An upload that a registry has started: where it goes on, and the least size of a chunk."""

    url: str
    minimum: int = 0

    @classmethod
    def started(cls, reply: Reply) -> "Upload":
        """The upload that the response of a POST describes. Raises OciError."""
        place = reply.headers.get("location", "")
        if not place:
            raise OciError(f"{reply.url}: the registry starts an upload and does not say where")
        minimum = reply.headers.get("oci-chunk-min-length", "0")
        return cls(urllib.parse.urljoin(reply.url, place), int(minimum) if minimum.isdigit() else 0)


def send(upload: Upload, digest: str, size: int, content: IO[bytes], ask: Send) -> None:
    """Upload the file. Raises OciError if the registry received other content."""
    if not upload.minimum:
        headers = {**_TYPE, "Content-Length": str(size)}
        target = _with_digest(upload.url, digest)
        reply = ask("PUT", target, content, headers, expect=(201, 413))
        if reply.status == 201:
            return
        # Some registries limit the size of a request.
    url = _chunks(upload, size, content, ask)
    ask("PUT", _with_digest(url, digest), b"", {"Content-Length": "0"}, expect=(201,))


def _chunks(upload: Upload, size: int, content: IO[bytes], ask: Send) -> str:
    """Send the content in chunks; returns where to finish the upload."""
    url, done, left = upload.url, 0, _RESUMES
    step = max(CHUNK, upload.minimum)
    while done < size:
        content.seek(done)
        chunk = content.read(step)
        headers = {
            **_TYPE,
            "Content-Range": f"{done}-{done + len(chunk) - 1}",
            "Content-Length": str(len(chunk)),
        }
        problem: OciError | None = None
        try:
            # One attempt: what arrived of it is asked for before any of it is sent again.
            reply = ask("PATCH", url, chunk, headers, expect=(202, *_BROKEN), attempts=1)
        except OciError as error:
            problem = error
        if problem is None and reply.status == 202:
            before = done
            url, done = _next(url, reply), _received(reply, done + len(chunk))
            if done > before:
                continue
        left -= 1
        if left < 0:
            raise problem or OciError(f"{url}: the upload failed with HTTP {reply.status}")
        reply = ask("GET", url, None, {}, expect=(204,))
        url, done = _next(url, reply), _received(reply, 0)
    return url


def _next(url: str, reply: Reply) -> str:
    return urllib.parse.urljoin(url, reply.headers.get("location", url))


def _received(reply: Reply, otherwise: int) -> int:
    """The number of bytes that the registry has: its `Range` header holds the first and the last
    of them. Nothing was received if the header of a status is missing.
    """
    match = re.fullmatch(r"(?:bytes=)?0-(\d+)", reply.headers.get("range", ""))
    if not match:
        return otherwise
    last = int(match[1])
    # "0-0" is what registries send for nothing, too.
    return last + 1 if last else 0


def _with_digest(url: str, digest: str) -> str:
    parts = urllib.parse.urlsplit(url)
    query = f"{parts.query}&" if parts.query else ""
    return parts._replace(query=f"{query}digest={urllib.parse.quote(digest)}").geturl()

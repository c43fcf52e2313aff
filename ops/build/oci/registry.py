"""A registry client: the parts of the OCI distribution specification 1.1 that this build needs."""

import json
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import IO, Any

from ops.build.oci import upload
from ops.build.oci.authorisation import Authorisation
from ops.build.oci.config import INDEX_TYPE, MANIFEST_TYPE
from ops.build.oci.errors import OciError
from ops.build.oci.reference import Reference
from ops.build.oci.transport import Body, Reply, Transport, Wait, loopback
from ops.build.oci.upload import Upload

__all__ = ["Reference", "Registry", "fallback_tag"]

_MEND = ": log in (`docker login` or `podman login`), or give USER:PASSWORD in OCI_CREDENTIALS"
_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPT = ", ".join((INDEX_TYPE, MANIFEST_TYPE, f"{_DOCKER}.list.v2+json", f"{_DOCKER}.v2+json"))


@dataclass
class Registry:
    """One repository of a registry. ``credentials`` is ``user:password``, if it requires any.

    ``siblings`` are repositories of the same registry that may have the same layers. What is read
    is compared with its digest.
    """

    reference: Reference
    credentials: str = field(default="", repr=False)
    siblings: tuple[str, ...] = ()
    wait: Wait | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._transport = Transport(
            self.reference.loopback, **({"wait": self.wait} if self.wait else {})
        )
        self._authorisation = Authorisation(self.reference.host, self._transport, self.credentials)

    def has_blob(self, digest: str, repository: str = "") -> bool:
        """Whether the registry already has this blob, in this repository or another one."""
        # A registry with external storage redirects, and only for blobs that it has. Another
        # repository need not be readable.
        there, missing = (200, 302, 303, 307, 308), (401, 403, 404) if repository else (404,)
        expected = (*there, *missing)
        return (
            self._ask("HEAD", f"blobs/{digest}", expect=expected, name=repository).status in there
        )

    def blob(self, digest: str) -> bytes:
        """The content of a blob. Raises OciError if it is missing or not what its digest says."""
        content = self._ask("GET", f"blobs/{digest}", expect=(200,)).body
        return self._checked(digest, content)

    def put_blob(self, digest: str, size: int, content: IO[bytes]) -> None:
        """Upload a blob from the start of a file, or take it from a sibling that has it.

        Raises OciError if the registry received other content.
        """
        query = ""
        for name in self.siblings:
            if self.has_blob(digest, name):
                query = "?" + urllib.parse.urlencode({"mount": digest, "from": name})
                break
        # A registry that does not mount starts an upload instead.
        start = self._ask("POST", f"blobs/uploads/{query}", expect=(201, 202))
        if start.status == 202:
            upload.send(Upload.started(start), digest, size, content, self._send)

    def manifest(self, tag: str) -> bytes | None:
        """The manifest or index of a tag or digest, if it exists. Raises OciError for another one
        than the digest's.
        """
        reply = self._ask("GET", f"manifests/{tag}", {"Accept": _ACCEPT}, expect=(200, 404))
        if reply.status == 404:
            return None
        return self._checked(tag, reply.body) if tag.startswith("sha256:") else reply.body

    def put_manifest(self, tag: str, content: bytes, media_type: str) -> bool:
        """Upload a manifest or index as ``tag``, or under its own digest.

        Returns whether the registry tracks referrers itself. Raises OciError.
        """
        headers = {"Content-Type": media_type}
        reply = self._ask("PUT", f"manifests/{tag}", headers, content, expect=(201,))
        digest = f"sha256:{sha256(content).hexdigest()}"
        if reply.headers.get("docker-content-digest", digest) != digest:
            raise OciError(f"{self.reference.host} stored {digest} under another digest")
        return "oci-subject" in reply.headers

    def referrers(self, digest: str) -> list[dict[str, Any]]:
        """Descriptors of the referrers of a manifest: from the registry's API, else from the
        fallback tag.
        """
        found: list[dict[str, Any]] = []
        path = f"referrers/{digest}"
        while path:
            reply = self._ask("GET", path, {"Accept": INDEX_TYPE}, expect=(200, 400, 404))
            index = _index(reply.body) if reply.status == 200 else None
            # Some registries answer pages that do not know the API with a page of their own.
            if index is None:
                return self._listed(digest)
            found += index
            path = self._next(reply)
        return found

    def _listed(self, digest: str) -> list[dict[str, Any]]:
        """What the fallback tag lists. A registry that has no such tag may resolve it to the
        subject itself, which is then no list.
        """
        content = self.manifest(fallback_tag(digest))
        if content is None or f"sha256:{sha256(content).hexdigest()}" == digest:
            return []
        return _index(content) or []

    def _next(self, reply: Reply) -> str:
        """The path of the next page of a list (RFC 8288), below the repository."""
        match = re.match(r'<([^>]+)>;\s*rel="?next"?', reply.headers.get("link", ""))
        if not match:
            return ""
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(reply.url, match[1]))
        start = f"/v2/{self.reference.name}/"
        if not parts.path.startswith(start):
            raise OciError(f"{self.reference.host}: the next page of a list is at {parts.path}")
        return f"{parts.path.removeprefix(start)}?{parts.query}"

    def _checked(self, digest: str, content: bytes) -> bytes:
        found = f"sha256:{sha256(content).hexdigest()}"
        if found != digest:
            raise OciError(f"{self.reference.host}: what it has for {digest} is {found}")
        return content

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        expect: Iterable[int],
        name: str = "",
    ) -> Reply:
        scheme = "http" if self.reference.loopback else "https"
        place = f"{scheme}://{self.reference.api_host}/v2/{name or self.reference.name}/{path}"
        return self._send(method, place, body, headers or {}, expect=expect)

    def _send(
        self,
        method: str,
        url: str,
        body: Body,
        headers: Mapping[str, str],
        *,
        expect: Iterable[int],
        attempts: int = 5,
    ) -> Reply:
        reply = self._once(method, url, body, headers, attempts)
        challenge = reply.headers.get("www-authenticate", "")
        if reply.status == 401 and self._authorisation.answer(challenge):
            reply = self._once(method, url, body, headers, attempts)
        if reply.status not in expect:
            said = reply.body.decode(errors="replace")[:500].strip()
            raise OciError(
                f"{self.reference.host}: {method} {urllib.parse.urlsplit(url).path}: HTTP "
                f"{reply.status}{_MEND if reply.status in (401, 403) else ''}"
                f"{': ' + said if said else ''}"
            )
        return reply

    def _once(
        self, method: str, url: str, body: Body, headers: Mapping[str, str], attempts: int
    ) -> Reply:
        sent = dict(headers)
        # If uploads go to another host, their URL carries the authorisation.
        if self._authorisation.header and self._own(url):
            sent["Authorization"] = self._authorisation.header
        return self._transport.send(method, url, body, sent, attempts=attempts)

    def _own(self, url: str) -> bool:
        parts = urllib.parse.urlsplit(url)
        secure = parts.scheme == "https" or loopback(parts.netloc)
        return secure and parts.netloc == self.reference.api_host


def fallback_tag(digest: str) -> str:
    """The tag in which clients list referrers for registries without support (specification,
    "Referrers Tag").
    """
    return digest.replace(":", "-")


def _index(content: bytes) -> list[dict[str, Any]] | None:
    """The descriptors of an index; None for anything else."""
    try:
        document = json.loads(content)
    except ValueError:
        return None
    if not isinstance(document, dict) or not isinstance(document.get("manifests"), list):
        return None
    return list(document["manifests"])

"""A client of registries: what of the OCI distribution specification 1.1 a push needs."""

import base64
import http.client
import json
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from ops.oci.errors import OciError

_TIMEOUT = 60.0
_REFERENCE = re.compile(
    r"(?P<host>[a-zA-Z0-9.-]+(?::\d+)?)/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*):(?P<tag>[\w.-]{1,128})"
)


@dataclass(frozen=True)
class Reference:
    """``HOST[:PORT]/NAME:TAG``."""

    host: str
    name: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference. Raises OciError."""
        match = _REFERENCE.fullmatch(text)
        if not match:
            raise OciError(f"{text!r} is not HOST/NAME:TAG, such as registry.example:5000/app:1.0")
        return cls(**match.groupdict())

    @property
    def loopback(self) -> bool:
        """Whether it is of this machine: such a registry is spoken to without TLS."""
        return self.host.rsplit(":", 1)[0] in ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Reply:
    """What a registry answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Registry:
    """One repository of a registry. ``credentials`` is ``user:password``, where it wants some."""

    reference: Reference
    credentials: str = ""
    _token: str = field(default="", repr=False)

    def has_blob(self, digest: str) -> bool:
        """Whether the registry holds this blob already."""
        return self._ask("HEAD", f"blobs/{digest}", expect=(200, 404)).status == 200

    def put_blob(self, digest: str, content: bytes) -> None:
        """Upload a blob, in one piece. Raises OciError when the registry took another content."""
        start = self._ask("POST", "blobs/uploads/", expect=(202,))
        place = urllib.parse.urlsplit(start.headers["location"])
        query = f"{place.query}&" if place.query else ""
        path = f"{place.path}?{query}digest={urllib.parse.quote(digest)}"
        headers = {"Content-Type": "application/octet-stream"}
        self._send("PUT", path, content, headers, expect=(201,))

    def manifest(self, tag: str) -> bytes | None:
        """The manifest or index of a tag or digest, if there is one."""
        accept = (
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
        )
        reply = self._ask("GET", f"manifests/{tag}", {"Accept": accept}, expect=(200, 404))
        return reply.body if reply.status == 200 else None

    def put_manifest(self, tag: str, content: bytes, media_type: str) -> bool:
        """Upload a manifest or index as ``tag``, or as its own digest.

        Returns whether the registry keeps track of referrers by itself. Raises OciError.
        """
        headers = {"Content-Type": media_type}
        reply = self._ask("PUT", f"manifests/{tag}", headers, content, expect=(201,))
        digest = f"sha256:{sha256(content).hexdigest()}"
        if reply.headers.get("docker-content-digest", digest) != digest:
            raise OciError(f"{self.reference.host} stored {digest} under another digest")
        return "oci-subject" in reply.headers

    def referrers(self, digest: str) -> list[dict[str, Any]]:
        """Descriptors of what refers to a manifest: by the registry, else by the fallback's tag."""
        reply = self._ask("GET", f"referrers/{digest}", expect=(200, 404))
        found = reply.body if reply.status == 200 else self.manifest(fallback_tag(digest))
        return list(json.loads(found)["manifests"]) if found else []

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        expect: Iterable[int],
    ) -> Reply:
        return self._send(
            method, f"/v2/{self.reference.name}/{path}", body, headers or {}, expect=expect
        )

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        expect: Iterable[int],
    ) -> Reply:
        reply = self._once(method, path, body, headers)
        if reply.status == 401 and self._authorise(reply.headers.get("www-authenticate", "")):
            reply = self._once(method, path, body, headers)
        if reply.status not in expect:
            said = reply.body.decode(errors="replace")[:500].strip()
            mend = ""
            if reply.status in (401, 403):
                mend = ": give credentials that may push, as USER:PASSWORD in OCI_CREDENTIALS"
            raise OciError(
                f"{self.reference.host}: {method} {path.partition('?')[0]}: HTTP {reply.status}"
                f"{mend}{': ' + said if said else ''}"
            )
        return reply

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        sent = dict(headers)
        if self._token:
            sent["Authorization"] = self._token
        return _exchange(self.reference.loopback, self.reference.host, method, path, body, sent)

    def _authorise(self, challenge: str) -> bool:
        """Act on a challenge (RFC 9110, 11.6.1); False when there is nothing new to try."""
        basic = "Basic " + base64.b64encode(self.credentials.encode()).decode()
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self.credentials and self._token != basic:
            self._token = basic
            return True
        if scheme.lower() != "bearer" or self._token:
            return False
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = urllib.parse.urlsplit(wanted.pop("realm", ""))
        query = urllib.parse.urlencode(wanted)
        reply = _exchange(
            realm.scheme == "http" and self.reference.loopback,
            realm.netloc,
            "GET",
            f"{realm.path}?{query}",
            None,
            {"Authorization": basic} if self.credentials else {},
        )
        if reply.status == 200:
            document = json.loads(reply.body)
            self._token = f"Bearer {document.get('token') or document.get('access_token')}"
        return reply.status == 200


def fallback_tag(digest: str) -> str:
    """Where clients note referrers, when a registry does not (specification, "Referrers Tag")."""
    return digest.replace(":", "-")


def _exchange(
    plain: bool,
    host: str,
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
) -> Reply:
    kind = http.client.HTTPConnection if plain else http.client.HTTPSConnection
    connection = kind(host, timeout=_TIMEOUT)
    try:
        connection.request(method, path, body, dict(headers))
        reply = connection.getresponse()
        found = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, found, reply.read())
    except (OSError, http.client.HTTPException) as error:
        raise OciError(f"{host}: {method} {path.partition('?')[0]}: {error}") from error
    finally:
        connection.close()

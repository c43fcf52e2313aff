"""A registry client: the parts of the OCI distribution specification 1.1 that a push needs."""

import base64
import http.client
import json
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import IO, Any, Self

from ops.build.oci.errors import OciError

_TIMEOUT = 60.0
_MEND = ": log in (`docker login` or `podman login`), or give USER:PASSWORD in OCI_CREDENTIALS"
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
        """Parse a reference. Raises OciError."""
        match = _REFERENCE.fullmatch(text)
        if not match:
            raise OciError(f"{text!r} is not HOST/NAME:TAG, such as registry.example:5000/app:1.0")
        return cls(**match.groupdict())

    @property
    def loopback(self) -> bool:
        """Whether the registry is on loopback, where no TLS is used."""
        return self.host.rsplit(":", 1)[0] in ("localhost", "127.0.0.1")


type Body = bytes | IO[bytes] | None


@dataclass(frozen=True)
class Reply:
    """The response of a registry."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Registry:
    """One repository of a registry. ``credentials`` is ``user:password``, if it requires any."""

    reference: Reference
    credentials: str = field(default="", repr=False)
    _authorisation: str = field(default="", repr=False)

    def has_blob(self, digest: str) -> bool:
        """Whether the registry already has this blob."""
        # A registry with external storage redirects, and only for blobs that it has.
        reply = self._ask("HEAD", f"blobs/{digest}", expect=(200, 302, 303, 307, 404))
        return reply.status != 404

    def put_blob(self, digest: str, size: int, content: IO[bytes]) -> None:
        """Upload a blob from the start of a file, in one request. Raises OciError if the registry
        received other content.
        """
        start = self._ask("POST", "blobs/uploads/", expect=(202,))
        place = urllib.parse.urlsplit(start.headers["location"])
        query = f"{place.query}&" if place.query else ""
        path = f"{place.path}?{query}digest={urllib.parse.quote(digest)}"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        self._send("PUT", path, content, headers, expect=(201,), host=place.netloc)

    def manifest(self, tag: str) -> bytes | None:
        """The manifest or index of a tag or digest, if it exists."""
        accept = (
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
        )
        reply = self._ask("GET", f"manifests/{tag}", {"Accept": accept}, expect=(200, 404))
        return reply.body if reply.status == 200 else None

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
        body: Body,
        headers: Mapping[str, str],
        *,
        expect: Iterable[int],
        host: str = "",
    ) -> Reply:
        reply = self._once(method, path, body, headers, host)
        if reply.status == 401 and self._authorise(reply.headers.get("www-authenticate", "")):
            reply = self._once(method, path, body, headers, host)
        if reply.status not in expect:
            said = reply.body.decode(errors="replace")[:500].strip()
            raise OciError(
                f"{self.reference.host}: {method} {path.partition('?')[0]}: HTTP {reply.status}"
                f"{_MEND if reply.status in (401, 403) else ''}{': ' + said if said else ''}"
            )
        return reply

    def _once(
        self, method: str, path: str, body: Body, headers: Mapping[str, str], host: str
    ) -> Reply:
        sent = dict(headers)
        own = host in ("", self.reference.host)
        # If uploads go to another host, their URL carries the authorisation.
        if self._authorisation and own:
            sent["Authorization"] = self._authorisation
        return _exchange(
            self.reference.loopback, host or self.reference.host, method, path, body, sent
        )

    def _authorise(self, challenge: str) -> bool:
        """Respond to a challenge (RFC 9110, 11.6.1); False if there is nothing new to try.

        A token is valid for its scope and for a limited time: a read token is refused for a write,
        with a challenge for another one.
        """
        scheme, _, rest = challenge.partition(" ")
        basic = ""
        if self.credentials:
            basic = "Basic " + base64.b64encode(self.credentials.encode()).decode()
        if scheme.lower() == "basic":
            before, self._authorisation = self._authorisation, basic
            return basic not in ("", before)
        if scheme.lower() != "bearer":
            return False
        token = self._token(dict(re.findall(r'(\w+)="([^"]*)"', rest)), basic)
        self._authorisation = f"Bearer {token}"
        return bool(token)

    def _token(self, wanted: dict[str, str], basic: str) -> str:
        """A token of the registry's authorisation service (distribution, "Token Authentication").

        Empty if the service refuses.
        """
        realm = urllib.parse.urlsplit(wanted.pop("realm", ""))
        if realm.scheme != "https" and not (realm.scheme == "http" and self.reference.loopback):
            raise OciError(
                f"{self.reference.host} sends to {realm.geturl()!r} for a token; it must be https"
            )
        known = [(name, wanted[name]) for name in ("service", "scope") if name in wanted]
        query = "&".join(filter(None, (realm.query, urllib.parse.urlencode(known))))
        reply = _exchange(
            realm.scheme == "http",
            realm.netloc,
            "GET",
            f"{realm.path or '/'}?{query}",
            None,
            {"Authorization": basic} if basic else {},
        )
        if reply.status != 200:
            return ""
        try:
            document = json.loads(reply.body)
            return str(document.get("token") or document["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise OciError(f"{realm.netloc} answered with no token") from error


def fallback_tag(digest: str) -> str:
    """The tag in which clients list referrers for registries without support (specification,
    "Referrers Tag").
    """
    return digest.replace(":", "-")


def _exchange(
    plain: bool,
    host: str,
    method: str,
    path: str,
    body: Body,
    headers: Mapping[str, str],
) -> Reply:
    kind = http.client.HTTPConnection if plain else http.client.HTTPSConnection
    connection = kind(host, timeout=_TIMEOUT)
    if body and not isinstance(body, bytes):
        body.seek(0)
    try:
        connection.request(method, path, body, dict(headers))
        reply = connection.getresponse()
        found = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, found, reply.read())
    except (OSError, http.client.HTTPException) as error:
        raise OciError(f"{host}: {method} {path.partition('?')[0]}: {error}") from error
    finally:
        connection.close()

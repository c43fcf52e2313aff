"""Names of images in registries."""

import re
from dataclasses import dataclass
from typing import Self

from ops.build.oci.errors import OciError

#: Docker Hub by its name in references, and the host that has its API.
HUB = "docker.io"
_HUB_API = "registry-1.docker.io"
_HUB_HOSTS = (HUB, "index.docker.io", _HUB_API)
_REFERENCE = re.compile(
    r"(?P<host>localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9.-]+:\d+)(?P<port>:\d+)?"
    r"/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[\w.-]{1,128}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class Reference:
    """``HOST[:PORT]/NAME``, with a tag, a digest or both."""

    host: str
    name: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a reference. Raises OciError."""
        match = _REFERENCE.fullmatch(text)
        if not match or not (match["tag"] or match["digest"]):
            raise OciError(
                f"{text!r} is not HOST/NAME:TAG, such as registry.example:5000/app:1.0, nor "
                "HOST/NAME@sha256:DIGEST"
            )
        host, name = f"{match['host']}{match['port'] or ''}", match["name"]
        if host in _HUB_HOSTS:
            host = HUB
            # Docker's own images have no folder in their names.
            name = name if "/" in name else f"library/{name}"
        return cls(host, name, match["tag"] or "", match["digest"] or "")

    @property
    def api_host(self) -> str:
        """The host that answers for this registry."""
        return _HUB_API if self.host == HUB else self.host

    @property
    def loopback(self) -> bool:
        """Whether the registry is on loopback, where no TLS is used."""
        return self.host.rsplit(":", 1)[0] in ("localhost", "127.0.0.1")

    @property
    def repository(self) -> str:
        """``HOST/NAME``."""
        return f"{self.host}/{self.name}"

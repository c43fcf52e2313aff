"""Whether a container engine is usable: it responds, and it loads an image.

Usage: python engine.py SOCKET [ping]. Exit status 0 if it is usable, else 1 with the reason on
standard output. An engine may respond and yet be unable to unpack an image, as in a plain chroot;
with ``ping`` only its response is tested. Speaks Docker's Engine API, which Podman serves too.
"""

import http.client
import io
import socket
import sys
import tarfile

TIMEOUT = 30.0
NAME = "fastapi-base-probe"


class Engine(http.client.HTTPConnection):
    """HTTP over the engine's Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self.path = path

    def connect(self) -> None:
        """Called by the first request."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self.path)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        """The status and the body of a reply."""
        self.request(method, path, body, {"Content-Type": "application/x-tar"})
        reply = self.getresponse()
        return reply.status, reply.read().decode("utf-8", "replace").strip()


def problem(path: str, ping_alone: bool) -> str | None:
    """Why the engine at ``path`` is unusable; None if it is usable."""
    try:
        engine = Engine(path)
        status, text = engine.ask("GET", "/_ping")
        if status != 200:
            return f"the container engine answers {status} {text}"
        if ping_alone:
            return None
        status, text = engine.ask("POST", f"/images/create?fromSrc=-&repo={NAME}", _image())
        # The reply is a stream: an error in it comes with status 200.
        if status != 200 or '"error"' in text:
            return f"the container engine answers but cannot take an image: {text}"
        engine.ask("DELETE", f"/images/{NAME}?force=1")
    except (OSError, http.client.HTTPException) as error:
        return f"no container engine answers at {path} ({error})"
    return None


def _image() -> bytes:
    """The smallest root file system: one empty directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folder = tarfile.TarInfo("probe")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    return buffer.getvalue()


if __name__ == "__main__":
    if found := problem(sys.argv[1], sys.argv[2:] == ["ping"]):
        print(found)
        sys.exit(1)

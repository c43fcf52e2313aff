"""Minimal Debian packages, built entry by entry, and a mirror of them on loopback."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tarfile import TarInfo

from ops.build.debian.lock import Package


def file(name: str, content: bytes = b"", mode: int = 0o644) -> tuple[TarInfo, bytes]:
    """A regular file of an archive."""
    info = TarInfo(name)
    info.size, info.mode = len(content), mode
    return info, content


def special(name: str, kind: bytes, target: str = "", mode: int = 0o755) -> tuple[TarInfo, bytes]:
    """A directory, link or device."""
    info = TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    return info, b""


def deb(path: Path, *entries: tuple[TarInfo, bytes], member: str = "data.tar.xz") -> Path:
    """Write a .deb with these entries as its file system."""
    data = io.BytesIO()
    compression = {"xz": "w:xz", "gz": "w:gz"}.get(member.rsplit(".", 1)[-1], "w")
    with tarfile.open(fileobj=data, mode=compression) as tar:  # type: ignore[call-overload]
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    with path.open("wb") as out:
        out.write(b"!<arch>\n")
        for name, content in (("debian-binary", b"2.0\n"), (member, data.getvalue())):
            out.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
            out.write(content + b"\n" * (len(content) % 2))
    return path


def package(name: str, content: bytes) -> Package:
    """The lock entry of a package with this content."""
    digest = hashlib.sha256(content).hexdigest()
    return Package(
        "amd64", name, "1.0-1", len(content), digest, f"pool/main/{name}_1.0-1_amd64.deb"
    )


@dataclass
class Mirror:
    """A directory served over HTTP, and the requested paths."""

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def add(self, package: Package, content: bytes) -> None:
        """Serve this content as the package."""
        path = self.folder / package.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@contextmanager
def serve(folder: Path) -> Iterator[Mirror]:
    """A mirror on loopback until the context ends."""
    folder.mkdir()
    mirror = Mirror(folder)

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, code: object = "-", size: object = "-") -> None:
            mirror.asked.append(self.path)

        def log_error(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    mirror.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

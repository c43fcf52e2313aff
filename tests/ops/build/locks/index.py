"""A package index on loopback, with wheels made for a test, and a checkout that locks from it."""

import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What `make lock` runs, and what it reads.
_TREE = ("ops/build/bootstrap", "ops/build/debian", "ops/build/locks", "ops/ci/scan")
_READ = ("3rdparty/python/tools.lock", "3rdparty/python/BUILD")
# Pants rewrites the one of this repository for each test.
_PYPROJECT = """[[tool.mypy.overrides]]
module = [
  "asyncpg.*",
]
ignore_missing_imports = true
"""
_FILES = ("ops/__init__.py", "ops/build/__init__.py", "ops/ci/__init__.py", "ops/ci/lock.py")
ANY = "py3-none-any"


class Index:
    """Serves the wheels that `add` makes; a name in ``stuck`` is never answered."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, tuple[bytes, str]]] = {}
        self.vulnerable: dict[str, list[dict[str, object]]] = {}
        self.stuck: set[str] = set()
        self.asked = threading.Event()
        self.released = threading.Event()
        self.url = ""

    def add(
        self,
        name: str,
        version: str,
        *requires: str,
        tag: str = ANY,
        python: str = ">=3.9",
        files: tuple[str, ...] = (),
    ) -> None:
        """Publish a wheel; its files are empty."""
        folder = f"{name.replace('-', '_')}-{version}"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += f"Requires-Python: {python}\n"
        metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as wheel:
            for file in files or (f"{name.replace('-', '_')}/__init__.py",):
                wheel.writestr(zipfile.ZipInfo(file), "")
            wheel.writestr(f"{folder}.dist-info/METADATA", metadata)
            text = f"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: {tag}\n"
            wheel.writestr(f"{folder}.dist-info/WHEEL", text)
            wheel.writestr(f"{folder}.dist-info/RECORD", "")
        held = self.files.setdefault(name, {})
        held[f"{folder}-{tag}.whl"] = (content.getvalue(), python)

    def reply(self, path: str) -> bytes | None:
        """The body for a path; None if there is nothing."""
        parts = path.strip("/").split("/")
        if parts[0] == "pypi":
            return json.dumps({"vulnerabilities": self.vulnerable.get(parts[1], [])}).encode()
        if parts[1] in self.stuck:
            self.asked.set()
            self.released.wait(60)
        if parts[0] == "files":
            return self.files[parts[1]][parts[2]][0]
        if parts[1] not in self.files:
            return None
        links = (
            f'<a href="/files/{parts[1]}/{file}#sha256={hashlib.sha256(content).hexdigest()}"'
            f' data-requires-python="{python.replace(">", "&gt;").replace("<", "&lt;")}">{file}</a>'
            for file, (content, python) in self.files[parts[1]].items()
        )
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


@contextmanager
def serving() -> Iterator[Index]:
    """An empty index."""
    index = Index()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            body = index.reply(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if with_body:
                self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        index.url = f"http://127.0.0.1:{server.server_port}"
        yield index
        index.released.set()
        server.shutdown()


class Checkout:
    """A small repository with the code of `make lock`, whose packages come from an index."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self.index = index
        for name in _TREE:
            shutil.copytree(name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in _FILES:
            if Path(name).exists():
                shutil.copy(name, folder / name)
        for name in (*_READ, "Makefile"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, folder / name)

        (folder / "pyproject.toml").write_text(_PYPROJECT)

    def write(self, name: str, text: str) -> None:
        """Write a file of 3rdparty/python."""
        (self.folder / "3rdparty/python" / name).write_text(text, encoding="utf-8")

    def read(self, name: str) -> str:
        """A file of 3rdparty/python."""
        return (self.folder / "3rdparty/python" / name).read_text(encoding="utf-8")

    def state(self) -> dict[str, bytes]:
        """Every file that `make lock` may change."""
        files = [*self.folder.glob("3rdparty/**/*.*"), self.folder / "3rdparty/python/BUILD"]
        files.append(self.folder / "pyproject.toml")
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in files}

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start the command with options such as ``--ADD=acme``, or ``make`` with ``ADD=acme``."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        kept.pop("PYTHONPATH", None)
        kept |= {
            "UV_DEFAULT_INDEX": f"{self.index.url}/simple",
            "UV_CACHE_DIR": str(self.folder / "cache"),
            "SCAN_INDEX": "",
        }
        command = [sys.executable, "-m", "ops.ci.lock"]
        if not arguments[0].startswith("-"):
            command = ["make", "lock"]
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            env={**kept, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environ: str) -> tuple[int, str]:
        """The exit status of `make lock`, and what it printed."""
        with self.start(*arguments, **environ) as process:
            out, _ = process.communicate(timeout=100)
        return process.returncode, out

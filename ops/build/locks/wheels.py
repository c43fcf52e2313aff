"""Lists the wheels of a lock: their hashes and file names, without URLs.

Only wheels that the lock allows and that fit CPython 3.13 on Linux are listed, in the format of
sha256sum(1).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

_FITTING = re.compile(
    r".+-(py3|py2\.py3|cp313|cp3\d+)-(none|abi3|cp313)-(any|.*manylinux.*(x86_64|aarch64))\.whl"
)


def listed(pylock: Mapping[str, Any], lock: str) -> Iterator[str]:
    """The lines of the list, by file name; ``pylock`` is the lock as uv exports it (PEP 751)."""
    allowed = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock))
    found = {
        file: sha256
        for file, sha256 in _wheels(pylock["packages"])
        if sha256 in allowed and _FITTING.fullmatch(file)
    }
    for file, sha256 in sorted(found.items()):
        yield f"{sha256}  {file}"


def _wheels(packages: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for package in packages:
        for wheel in package.get("wheels", ()):
            place = wheel.get("name") or unquote(urlsplit(wheel["url"]).path).rpartition("/")[2]
            yield place, wheel["hashes"]["sha256"]

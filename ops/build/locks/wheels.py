"""Lists the wheels of a lock: their hashes and file names, without addresses.

    python -m ops.build.locks.wheels PYLOCK.toml < LOCK > LIST

PYLOCK.toml is the lock as uv exports it (PEP 751). Only wheels that the lock allows and that fit
CPython 3.13 on Linux are listed, in the format of sha256sum(1).
"""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_FITTING = re.compile(
    r".+-(py3|py2\.py3|cp313|cp3\d+)-(none|abi3|cp313)-(any|.*manylinux.*(x86_64|aarch64))\.whl"
)


def listed(pylock: Mapping[str, Any], lock: str) -> Iterator[str]:
    """The lines of the list, sorted by file name."""
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


def main(arguments: list[str] | None = None) -> int:
    """Write the list to standard output; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 1:
        print("wheels: expected is one argument, the exported lock", file=sys.stderr)
        return 2
    exported = tomllib.loads(Path(words[0]).read_text(encoding="utf-8"))
    for line in listed(exported, sys.stdin.read()):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())

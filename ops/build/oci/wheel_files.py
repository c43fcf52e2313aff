"""The files of a lock's wheels: which of the hashes that a lock allows is that of a wheel.

`make lock` writes the list beside a lock of requirements, as sha256sum(1) does: a hash, two spaces
and the name of a file. An installed wheel states its tags, and they are in its file's name.
"""

import re
from collections.abc import Mapping

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ops.build.oci.components import Component

_LINE = re.compile(r"^([0-9a-f]{64})  (\S+\.whl)$", re.MULTILINE)

#: By name and version, the tags and the SHA-256 of each file.
type Files = Mapping[tuple[str, str], list[tuple[frozenset[str], str]]]


def read(text: str) -> Files:
    """The wheels of a list; another text, such as a lock, has none."""
    found: dict[tuple[str, str], list[tuple[frozenset[str], str]]] = {}
    for sha256, file in _LINE.findall(text):
        try:
            name, version, _, tags = parse_wheel_filename(file)
        except InvalidWheelFilename:
            continue
        known = found.setdefault((name, str(version)), [])
        known.append((frozenset(map(str, tags)), sha256))
    return found


def sha256(component: Component, files: Files) -> str:
    """The SHA-256 of the wheel that was installed; empty if the list does not determine it."""
    candidates = files.get((component.name, component.version), [])
    tags = set(component.tags)
    fitting = [one for known, one in candidates if known == tags]
    # Tools that repair wheels may add tags to the name only.
    fitting = fitting or [one for known, one in candidates if known & tags]
    return fitting[0] if len(fitting) == 1 else ""

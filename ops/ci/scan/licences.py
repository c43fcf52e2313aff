"""Licences of the locked packages, by their own metadata."""

import importlib.metadata
import re
from collections.abc import Iterable, Iterator

from ops.scan.findings import Finding

#: May be part of a service whose source is closed; MPL asks for changes of its own files alone.
ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "PostgreSQL",
        "Unlicense",
        "Zlib",
    }
)
# How packages without an SPDX expression (PEP 639) call them.
_OLD = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache": "Apache-2.0",  # kubernetes-validate; its licence file is that of version 2.0
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "new bsd": "BSD-3-Clause",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
}


def scan(installed: Iterable[importlib.metadata.Distribution]) -> Iterator[Finding]:
    """A finding for each distribution whose licence is not among those allowed."""
    for distribution in installed:
        licence = of(distribution)
        if not allowed(licence):
            name = distribution.metadata["Name"].lower()
            yield Finding(
                f"licences/{name}",
                f"{distribution.version} says {licence or 'nothing'}; "
                f"allowed are {', '.join(sorted(ALLOWED))}",
            )


def of(distribution: importlib.metadata.Distribution) -> str:
    """What it says: an SPDX expression, else the old field, else its classifiers, joined by OR."""
    metadata = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    free = metadata.get("License", "")
    if free and "\n" not in free and len(free) < 80 and free not in ("UNKNOWN", "Dual License"):
        return free
    names = [
        name.rpartition(" :: ")[2]
        for name in metadata.get_all("Classifier", [])
        if name.startswith("License :: ")
    ]
    return " OR ".join(names)


def allowed(licence: str) -> bool:
    """Whether an expression can be met by what is allowed: all of AND, one of OR."""
    known = _OLD.get(licence.lower())
    if known or licence in ALLOWED:
        return True
    inner = re.fullmatch(r"\((.*)\)", licence)
    if inner and "(" not in inner[1]:
        return allowed(inner[1])
    for operator, meets in ((" AND ", all), (" OR ", any)):
        parts = _split(licence, operator)
        if len(parts) > 1:
            return meets(allowed(part) for part in parts)
    return False


def _split(expression: str, operator: str) -> list[str]:
    """At an operator outside of parentheses."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0 and expression.startswith(operator, index):
            parts.append(expression[start:index])
            start = index + len(operator)
    return [*parts, expression[start:]]

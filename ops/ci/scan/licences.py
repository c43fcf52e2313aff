"""Licences of the locked packages, from their metadata."""

import importlib.metadata
from collections.abc import Iterable, Iterator

from license_expression import ExpressionError, LicenseExpression, get_spdx_licensing

from ops.ci.scan.findings import Finding

#: Allowed in a closed-source service; MPL requires publishing only changes of its own files.
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
_SPDX = get_spdx_licensing()
# Names used by packages without an SPDX expression (PEP 639).
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
    """A finding for each distribution whose licence is not allowed."""
    for distribution in installed:
        licence = of(distribution)
        if not allowed(licence):
            name = distribution.metadata["Name"].lower()
            yield Finding(
                f"licences/{name}",
                f"{distribution.version} declares {licence or 'no licence'}; "
                f"allowed: {', '.join(sorted(ALLOWED))}",
            )


def of(distribution: importlib.metadata.Distribution) -> str:
    """Its SPDX expression, else the old field, else its classifiers joined by OR."""
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
    return " OR ".join(_OLD.get(name.lower(), name) for name in names)


def allowed(licence: str) -> bool:
    """Whether the allowed licences satisfy an SPDX expression: all of AND, one of OR."""
    try:
        parsed = _SPDX.parse(_OLD.get(licence.lower(), licence), validate=True, strict=True)
    except ExpressionError:
        return False
    return parsed is not None and _met(parsed)


def _met(expression: LicenseExpression) -> bool:
    if isinstance(expression, _SPDX.AND):
        return all(map(_met, expression.args))
    if isinstance(expression, _SPDX.OR):
        return any(map(_met, expression.args))
    # A licence with an exception has no key of its own: it needs a waiver.
    return getattr(expression, "key", None) in ALLOWED

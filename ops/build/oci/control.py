"""A Debian package's own metadata: its control paragraph and its licences."""

import re
from collections.abc import Mapping
from pathlib import Path

from ops.build.debian import deb as debian
from ops.build.debian import deb822
from ops.build.oci.errors import OciError

#: Status paragraphs have the format of dpkg's own database; scanners match on these fields.
_FIELDS = (
    "Package",
    "Source",
    "Version",
    "Architecture",
    "Maintainer",
    "Installed-Size",
    "Depends",
    "Pre-Depends",
    "Section",
    "Priority",
    "Multi-Arch",
    "Homepage",
    "SHA256",
    "Description",
)


def fields(deb: Path) -> dict[str, str]:
    """The fields of the package's control file, by lower-case names. Raises OciError."""
    found = parse(debian.control(deb))
    for wanted in ("Package", "Version", "Architecture"):
        if wanted.lower() not in found:
            raise OciError(f"{deb.name}: its control file has no {wanted}")
    return found


def parse(text: str) -> dict[str, str]:
    """The fields of the first paragraph, by lower-case names."""
    return next(deb822.paragraphs(text), {})


def status(control: Mapping[str, str], sha256: str) -> str:
    """A paragraph for ``var/lib/dpkg/status.d``, where scanners look for packages without dpkg.

    It has a field that dpkg's own database lacks: the SHA-256 of the package's file.
    """
    known = {**control, "sha256": sha256}
    lines = [f"{name}: {known[name.lower()]}" for name in _FIELDS if name.lower() in known]
    lines.insert(1, "Status: install ok installed")
    return "\n".join(lines) + "\n"


def licences(copyright_file: str) -> list[str]:
    """The short names in a machine-readable copyright file (DEP-5), sorted; otherwise none."""
    if not copyright_file.startswith("Format:"):
        return []
    names = re.findall(r"^License:[ \t]*(\S[^\n]*)$", copyright_file, re.MULTILINE)
    return sorted({name.strip() for name in names})

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

#: Licences in prose that no file of /usr/share/common-licenses has, by their SPDX names.
_TITLES = {
    "PSF-2.0": "python software foundation license version 2",
    "GCC-exception-3.1": "gcc runtime library exception",
    "MIT": "permission is hereby granted, free of charge, to any person obtaining a copy",
}


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


def relations(control: Mapping[str, str]) -> list[str]:
    """The packages that must be installed, each as alternatives joined by ``|`` (Policy, 7.1)."""
    both = (control.get("pre-depends", ""), control.get("depends", ""))
    found = [" ".join(one.split()) for text in both for one in text.split(",")]
    return list(dict.fromkeys(filter(None, found)))


def licences(copyright_file: str) -> list[str]:
    """The short names of the licences in a copyright file, sorted.

    A machine-readable file (DEP-5) states them. Another one states them in prose: there they are
    the files of /usr/share/common-licenses that it refers to, and titles of well-known licences.
    """
    if copyright_file.startswith("Format:"):
        names = re.findall(r"^License:[ \t]*(\S[^\n]*)$", copyright_file, re.MULTILINE)
        return sorted({name.strip() for name in names})
    found = re.findall(r"/usr/share/common-licenses/([A-Za-z0-9.+-]*\w)", copyright_file)
    flat = " ".join(copyright_file.split()).lower()
    found += [name for name, title in _TITLES.items() if title in flat]
    return sorted(set(found))

"""What a Debian package says of itself: its control paragraph and its licences."""

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from ops.oci.errors import OciError

_MAGIC = b"!<arch>\n"
_HEADER = 60
#: The form of a status paragraph is that of dpkg's own database; scanners match on these fields.
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
    """The fields of the package's control file (deb-control(5)). Raises OciError."""
    found = parse(_text(deb))
    for wanted in ("Package", "Version", "Architecture"):
        if wanted not in found:
            raise OciError(f"{deb.name}: its control file has no {wanted}")
    return found


def parse(text: str) -> dict[str, str]:
    """The fields of a paragraph; a value keeps its further lines as they are."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1].isspace() and name:
            found[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            found[name] = value.strip()
    return found


def status(control: Mapping[str, str], sha256: str) -> str:
    """A paragraph for ``var/lib/dpkg/status.d``, where scanners look for packages without dpkg.

    It has a field that dpkg's own database lacks: the SHA-256 of the package's file.
    """
    known = {**control, "SHA256": sha256}
    lines = [f"{name}: {known[name]}" for name in _FIELDS if name in known]
    lines.insert(1, "Status: install ok installed")
    return "\n".join(lines) + "\n"


def licences(copyright_file: str) -> list[str]:
    """The short names of a machine-readable copyright file (DEP-5), sorted; else none."""
    if not copyright_file.startswith("Format:"):
        return []
    names = re.findall(r"^License:[ \t]*(\S[^\n]*)$", copyright_file, re.MULTILINE)
    return sorted({name.strip() for name in names})


def _text(deb: Path) -> str:
    with deb.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise OciError(f"{deb.name}: not a Debian package")
        while len(header := file.read(_HEADER)) == _HEADER:
            size = int(header[48:58])
            content = file.read(size)
            file.read(size % 2)
            if header.startswith(b"control.tar"):
                if header.startswith(b"control.tar.zst"):
                    import zstandard

                    content = zstandard.ZstdDecompressor().stream_reader(content).read()
                with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                    for member in archive:
                        if member.name.removeprefix("./") == "control":
                            control = archive.extractfile(member)
                            return control.read().decode() if control else ""
    raise OciError(f"{deb.name}: holds no control file")

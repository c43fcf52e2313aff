"""What a Debian package says of itself: its control paragraph and its licences."""

import io
import re
import tarfile
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
    "Description",
)


def fields(deb: Path) -> dict[str, str]:
    """The fields of the package's control file (deb-control(5)). Raises OciError."""
    found: dict[str, str] = {}
    name = ""
    for line in _text(deb).splitlines():
        if line[:1].isspace() and name:
            found[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            found[name] = value.strip()
    for wanted in ("Package", "Version", "Architecture"):
        if wanted not in found:
            raise OciError(f"{deb.name}: its control file has no {wanted}")
    return found


def status(control: dict[str, str]) -> str:
    """A paragraph for ``var/lib/dpkg/status.d``, where scanners look for packages without dpkg."""
    lines = [f"{name}: {control[name]}" for name in _FIELDS if name in control]
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

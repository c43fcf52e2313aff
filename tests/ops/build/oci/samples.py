"""Small layers and Debian packages, and Hypothesis strategies for the contents of images."""

import io
import tarfile
from pathlib import Path

from hypothesis import strategies as st

from ops.build.oci import archive, layer
from ops.build.oci.config import Config
from ops.build.oci.entry import Entry, Kind, directory, file, symlink
from ops.build.oci.layer import Layer
from ops.build.oci.tree import Tree

_names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=40,
).filter(lambda name: name not in (".", "..") and not name.startswith(".wh."))
paths = st.lists(_names, min_size=1, max_size=5).map("/".join)
modes = st.integers(min_value=0, max_value=0o7777)
numbers = st.integers(min_value=0, max_value=0o7777777)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any file, directory or symbolic link."""
    path, mode = draw(paths), draw(modes)
    kind = draw(st.sampled_from([Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK]))
    if kind is Kind.SYMLINK:
        return symlink(path, "/" + draw(paths))
    content = draw(st.binary(max_size=2000)) if kind is Kind.FILE else b""
    return Entry(path, kind, mode, draw(numbers), draw(numbers), content)


@st.composite
def trees(draw: st.DrawFn) -> list[Entry]:
    """Entries in any order, none of which lies below a file or link."""
    chosen: list[Entry] = []
    taken: dict[str, Kind] = {}
    for entry in draw(st.lists(entries(), max_size=12)):
        steps = entry.path.split("/")
        above = ["/".join(steps[:count]) for count in range(1, len(steps))]
        if entry.path in taken or any(
            taken.get(path, Kind.DIRECTORY) is not Kind.DIRECTORY for path in above
        ):
            continue
        taken.update(dict.fromkeys(above, Kind.DIRECTORY))
        taken[entry.path] = entry.kind
        chosen.append(entry)
    return chosen


def made(
    folder: Path, name: str, *content: Entry, architecture: str = "amd64"
) -> tuple[Layer, Path]:
    """A layer on disk, of the target ``//:NAME``."""
    record = folder / f"{name}.json"
    layer.write(Tree(content).entries(), record, f"//:{name}", name, architecture)
    return layer.read(record)


def elf(machine: int, kind: int = 3) -> bytes:
    """The head of a little-endian 64-bit ELF file."""
    return (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + kind.to_bytes(2, "little")
        + machine.to_bytes(2, "little")
    )


def deb(path: Path, name: str, *content: Entry, version: str = "1.0-1") -> Path:
    """A Debian package with a control file and these entries."""
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
        "Maintainer: A Person <person@example.org>\nDescription: a sample\n with a second line\n"
    )
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar(
            [file("control", control.encode()), file("postinst", b"#!/bin/sh\n")]
        ),
        "data.tar.gz": _tar(content),
    }
    with path.open("wb") as out:
        out.write(b"!<arch>\n")
        for member, data in members.items():
            out.write(f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode())
            out.write(data + b"\n" * (len(data) % 2))
    return path


def _tar(content: list[Entry] | tuple[Entry, ...]) -> bytes:
    kinds = {
        Kind.FILE: tarfile.REGTYPE,
        Kind.DIRECTORY: tarfile.DIRTYPE,
        Kind.SYMLINK: tarfile.SYMTYPE,
        Kind.HARDLINK: tarfile.LNKTYPE,
    }
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for entry in content:
            info = tarfile.TarInfo(f"./{entry.path}")
            info.type, info.mode, info.linkname = kinds[entry.kind], entry.mode, entry.target
            info.uid, info.mtime, info.size = 1234, 987654321, len(entry.content)
            tar.addfile(info, io.BytesIO(entry.content))
    return data.getvalue()


def folder(path: str) -> Entry:
    """A directory."""
    return directory(path)


def build(
    folder: Path, architecture: str = "amd64", content: bytes = b"1", tag: str = "1"
) -> tuple[archive.Built, Path]:
    """An image of two layers, and its archive."""
    folder.mkdir(exist_ok=True)
    base = made(folder, f"base-{architecture}", file("x", b"0"), architecture=architecture)
    top = made(folder, f"top-{architecture}", file("y", content), architecture=architecture)
    output = folder / f"{architecture}.oci.tar"
    built = archive.image(
        Config(entrypoint=["/y"], user="app"),
        [base, top],
        f"linux/{architecture}",
        f"try/it:{tag}",
        "//:image",
        output,
    )
    return built, output


def flip(path: Path) -> None:
    """Change one byte of a file; its size is unchanged."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Cut a file in half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    """Truncate a file to zero bytes."""
    path.write_bytes(b"")

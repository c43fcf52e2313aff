"""Reads the target machine of an ELF file (elf(5))."""

from collections.abc import Iterable

from ops.build.oci.entry import Entry, Kind
from ops.build.oci.errors import OciError

MAGIC = b"\x7fELF"
#: e_machine of the architectures that images are built for, by their OCI names.
MACHINES = {"amd64": 62, "arm64": 183}
_NAMES = {62: "amd64", 183: "arm64", 3: "i386", 40: "arm", 243: "riscv64"}
_TYPES = (2, 3)  # executables and shared objects; relocatable objects are data


def machine(content: bytes) -> int | None:
    """e_machine of an executable or shared object, or None for anything else."""
    if len(content) < 20 or not content.startswith(MAGIC):
        return None
    little = content[5] != 2
    kind, machine_id = (
        int.from_bytes(content[at : at + 2], "little" if little else "big") for at in (16, 18)
    )
    return machine_id if kind in _TYPES else None


def check(entries: Iterable[Entry], architecture: str, where: str) -> int:
    """Count the executables, which must all be for ``architecture``. Raises OciError."""
    wanted, count = MACHINES[architecture], 0
    for entry in entries:
        found = machine(entry.content) if entry.kind is Kind.FILE else None
        if found is None:
            continue
        count += 1
        if found != wanted:
            raise OciError(
                f"{where}: /{entry.path} (of {entry.origin}) is for "
                f"{_NAMES.get(found, f'machine {found}')}, the image for {architecture}: "
                "take it from a package or wheel of that architecture"
            )
    return count

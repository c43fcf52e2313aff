"""Removes debug information from the ELF files of wheels, by the locked eu-strip.

Symbol tables stay, so that profilers, debuggers and reports of crashes still name functions.
eu-strip handles the files of all architectures, whatever machine it runs on.
"""

import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ops.build.oci import elf
from ops.build.oci.bytecode import loaded
from ops.build.oci.entry import Entry, Kind
from ops.build.oci.errors import OciError

PROGRAM = "usr/bin/eu-strip"


def stripped(entries: Iterable[Entry], root: Path, origin: str) -> Iterator[Entry]:
    """The entries, with executables and shared objects stripped by the packages below ``root``.

    Raises OciError for a file that cannot be stripped.
    """
    command = loaded(root, PROGRAM, origin)
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before"), Path(folder, "after")
        for entry in entries:
            if entry.kind is Kind.FILE and elf.machine(entry.content) is not None:
                before.write_bytes(entry.content)
                after.unlink(missing_ok=True)
                done = subprocess.run(
                    [*command, "--strip-debug", "-o", str(after), str(before)],
                    env={},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode or done.stderr:
                    raise OciError(f"{origin}: /{entry.path} was not stripped: {done.stderr}")
                # Without anything to remove it writes no file.
                if after.exists():
                    entry = replace(entry, content=after.read_bytes())
            yield entry

import platform
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.build.oci import elf
from ops.build.oci.entry import file
from ops.build.oci.errors import OciError
from tests.ops.build.oci import samples


@given(st.binary(max_size=64))
def test_arbitrary_bytes_cause_no_error(content: bytes) -> None:
    assert elf.machine(content) is None or content.startswith(elf.MAGIC)


def test_program_for_another_machine_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        OciError, match=r"//:app: /usr/bin/x \(of wheel\) is for amd64, the image for arm64: take"
    ):
        elf.check([file("usr/bin/x", samples.elf(62), origin="wheel")], "arm64", "//:app")
    with pytest.raises(OciError, match="riscv64"):
        samples.made(tmp_path, "app", file("x", samples.elf(243)))


def test_only_executables_are_counted() -> None:
    entries = [
        file("a", samples.elf(183)),
        file("b", samples.elf(183, kind=2)),
        file("object.o", samples.elf(62, kind=1)),
        file("c", b"\x7fELF"),
        file("d", b"#!/bin/sh"),
    ]
    assert elf.check(entries, "arm64", "//:app") == 2


def test_this_python_is_for_this_machine() -> None:
    wanted = {"x86_64": 62, "aarch64": 183}.get(platform.machine())
    if sys.platform == "linux" and wanted:
        assert elf.machine(Path(sys.executable).resolve().read_bytes()) == wanted

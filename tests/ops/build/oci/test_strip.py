import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from ops.build.oci import strip
from ops.build.oci.entry import file, symlink
from ops.build.oci.errors import OciError
from ops.dev import packages
from tests.ops.build.oci.samples import elf

#: Shipped with debug information.
EXTENSION = Path(str(uvloop.loop.__file__))
LOAD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("uvloop.loop", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.Loop().time() > 0)
"""


@pytest.fixture(scope="module")
def root() -> Path:
    return packages.root("elfutils", "eu-strip")


def test_debug_information_is_removed_and_symbols_are_kept(tmp_path: Path, root: Path) -> None:
    whole = file("loop.so", EXTENSION.read_bytes(), 0o755)
    (small,) = strip.stripped([whole], root, "//:x")
    assert len(small.content) < len(whole.content) / 2
    assert replace(small, content=whole.content) == whole
    assert b".debug_info\0" not in small.content
    assert b".symtab\0" in small.content
    assert list(strip.stripped([whole, small], root, "//:x")) == [small, small]
    built = tmp_path / EXTENSION.name
    built.write_bytes(small.content)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, built], check=True, capture_output=True, text=True
    )
    assert done.stdout == "True\n"


def test_other_files_are_unchanged(root: Path) -> None:
    others = [file("a.py", b"print()\n"), file("b", b""), symlink("c.so", "b")]
    assert list(strip.stripped(others, root, "//:x")) == others


def test_damaged_executable_is_named(root: Path) -> None:
    with pytest.raises(OciError, match=r"//:x: /app/y\.so was not stripped: "):
        list(strip.stripped([file("app/y.so", elf(62))], root, "//:x"))

import marshal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.build.oci import bytecode, folder, pyc
from ops.build.oci.entry import file
from ops.build.oci.errors import OciError
from tests.ops.build.oci import samples

STDLIB = Path(subprocess.__file__).parent
SOURCE = b"""
NAMES = frozenset({"a", "b", "c", 1, 2.5, ("x", "y")})
def f(x, *, y={"a", "b", "c"}):
    return x in {"left", "right", "middle"} and (1, "two", b"three", None, ...)
class C:
    "doc"
"""
PROGRAM = """
import hashlib, random, sys
from ops.build.oci import pyc
paths = sys.argv[2:]
random.Random(sys.argv[1]).shuffle(paths)
for path in sorted(paths) if sys.argv[1] == "0" else paths:
    with open(path, "rb") as file:
        data = pyc.pyc(file.read(), path)
    print(path, data and hashlib.sha256(data).hexdigest())
"""


def test_bytecode_is_independent_of_order_hash_seed_and_process() -> None:
    paths = [str(path) for path in sorted(STDLIB.glob("*.py"))[:60]]
    seen = {
        tuple(
            sorted(
                subprocess.run(
                    [sys.executable, "-c", PROGRAM, seed, *paths],
                    env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout.splitlines()
            )
        )
        for seed in ("0", "1", "2")
    }
    assert len(seen) == 1


def test_bytecode_is_independent_of_loaded_modules(tmp_path: Path) -> None:
    # These modules are loaded in this process, whose strings would be shared with theirs.
    names = ("argparse", "functools", "typing")
    sources = [file(f"{name}.py", (STDLIB / f"{name}.py").read_bytes()) for name in names]
    together = {one.path: one for one in bytecode.compiled(sources, bytecode.own())}
    for source in sources:
        (alone,) = bytecode.compiled([source], bytecode.own())
        assert alone == together[alone.path]


def test_packages_without_an_interpreter_are_refused(tmp_path: Path) -> None:
    deb = samples.deb(tmp_path / "x.deb", "x", file("usr/bin/x", b""))
    bytecode.unpack([deb], tmp_path / "root")
    with pytest.raises(OciError, match=r"//:x: (no python3.13|images are built on)"):
        bytecode.locked(tmp_path / "root", "//:x")


def test_failing_compiler_is_reported() -> None:
    broken = bytecode.Compiler((sys.executable, "-c", "import sys; sys.exit('no'); "))
    with pytest.raises(OciError, match=r"pyc.py ended with exit code 1: no"):
        list(bytecode.compiled([file("x.py", b"")], broken))


def test_python_loads_bytecode_without_checking_the_source(tmp_path: Path) -> None:
    (source,) = [file("m.py", b"print('compiled')")]
    (cached,) = bytecode.compiled([source], bytecode.own())
    target = tmp_path / cached.path
    target.parent.mkdir()
    target.write_bytes(cached.content)
    (tmp_path / "m.py").write_text("print('source')")
    done = subprocess.run(
        [sys.executable, "-m", "m"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout == "compiled\n"


def test_code_names_the_path_in_the_image() -> None:
    data = pyc.pyc(SOURCE, "/app/m.py")
    assert data
    assert marshal.loads(data[16:]).co_filename == "/app/m.py"


@given(st.binary(max_size=200))
def test_invalid_source_has_no_bytecode(source: bytes) -> None:
    data = pyc.pyc(source, "/x.py")
    assert data is None or len(data) > 16


def test_wheel_scripts_and_foreign_bytecode_are_excluded(tmp_path: Path) -> None:
    for name in ("bin/tool", "pkg/__init__.py", "pkg/__pycache__/old.pyc", "pkg/bin/kept"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    found = {
        entry.path for entry in folder.python(tmp_path, "/app", "//:x", bytecode.own()).entries()
    }
    assert {path for path in found if "." in path or path.endswith(("tool", "kept"))} == {
        "app/pkg/__init__.py",
        "app/pkg/__pycache__/__init__.cpython-313.pyc",
        "app/pkg/bin/kept",
    }

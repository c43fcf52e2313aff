"""Copies of this repository in which resources are made."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.dev import places
from tests.integration.processes import environment

SECONDS = 1500

# Also what Pants adds to the tree in which it runs a test.
_NOT_COPIED = (".git", ".local", ".pants.d", ".pids", ".venv", "dist")
_CACHES = ("__pycache__", ".*_cache", ".hypothesis", "*.pex*")
CUSTOMER = ("NAME=customer", "FIELDS=name:str email:email?")
#: Every type, with long names and short, unique and optional ones.
LINE = (
    "NAME=purchase_order_line",
    "FIELDS=code:str(3)! title:str(80) note:text quantity:int! big:bigint? price:decimal(10,0)"
    " ratio:decimal(4,4)? weight:float length:float? active:bool? day:date! at:datetime!"
    " token:uuid! mail:email! page:url! extra:json more:json? kind:enum(a,b2,c_d)?"
    " order:ref(order)! backup_customer:ref(customer)?",
)
ORDER = (
    "NAME=order",
    "FIELDS=number:str! total:decimal status:enum(open,paid) customer:ref(customer) due:date?",
)


def copy(root: Path) -> Path:
    """A copy of the files of this repository."""
    ignored = shutil.ignore_patterns(*_NOT_COPIED, *_CACHES)
    return shutil.copytree(".", root, symlinks=True, ignore=ignored)


def make(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `make` with these arguments, as a person would."""
    known = {"FASTAPI_BASE_CACHE": str(places.cache()), "PYTHON313": sys.executable}
    dropped = ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=root,
        env={**kept, **known},
        capture_output=True,
        text=True,
        check=False,
    )


def made(root: Path, *arguments: str) -> str:
    """What `make resource` prints."""
    done = make(root, "resource", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(root: Path) -> dict[str, bytes]:
    """The content of every file, without caches."""
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in root.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def run_tests(root: Path, tests: Sequence[str]) -> None:
    """Run tests of a copy with its own modules, and embedded servers."""
    here, found = Path.cwd(), environment()["PYTHONPATH"].split(":")
    ours = [here, here / "src", here / "ops/build/plugins"]
    own = [str(root / place.relative_to(here)) for place in ours if str(place) in found]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=root,
        # The images' archives are next to these tests, not in that tree.
        env=environment() | {"PYTHONPATH": ":".join([*own, *found]), "TEST_SERVERS": "embedded"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout

"""`make lock ADD=`, `UPGRADE=` and `REMOVE=`, against an index on loopback."""

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.build.locks.locks import pins
from tests.ops.build.locks.index import Checkout, Index, serving

_MANIFEST = """# What the code imports.

# The service
attrs2<2
zebra<2

# Tests. No upper bounds: an upgrade that breaks a test is noticed.
shared
"""
_RUNNER = "# No upper bounds.\nshared\n"
_NAMES = ("attrs2", "shared", "zebra")


@pytest.fixture
def index() -> Iterator[Index]:
    with serving() as served:
        yield served


@pytest.fixture
def checkout(tmp_path: Path, index: Index) -> Checkout:
    """A checkout with locks that are older than the index."""
    made = Checkout(tmp_path, index)
    for name in ("attrs2", "zebra", "shared"):
        index.add(name, "1.0")
    made.write("app.txt", _MANIFEST)
    made.write("test.txt", _RUNNER)
    made.write("mutants.txt", "zebra<2\n")
    for name in ("app", "test", "mutants"):
        made.write(f"{name}.lock", _locked(index, made.read(f"{name}.txt")))
    made.write("app.wheels", "".join(f"{_digest(index, one)}  {_wheel(one)}\n" for one in _NAMES))
    for name in ("attrs2", "zebra", "shared"):
        index.add(name, "1.1")
    return made


def _locked(index: Index, manifest: str) -> str:
    return "".join(
        f"{name}==1.0 \\\n    --hash=sha256:{_digest(index, name)}\n"
        for name in _NAMES
        if name in manifest
    )


def _digest(index: Index, name: str) -> str:
    return hashlib.sha256(index.files[name][_wheel(name)][0]).hexdigest()


def _wheel(name: str) -> str:
    return f"{name}-1.0-py3-none-any.whl"


def _changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_added_library_is_bounded_sorted_importable_and_moves_no_other_pin(
    checkout: Checkout, index: Index
) -> None:
    index.add("helper", "3.1")
    index.add("py-acme", "0.4.1", "helper>=3", files=("acme/__init__.py", "acme/core.py"))
    before, old = checkout.state(), checkout.read("app.lock")

    code, out = checkout.run("ADD=py-acme")

    assert code == 0, out
    assert checkout.read("app.txt") == _MANIFEST.replace("zebra", "py-acme<0.5\nzebra", 1)
    lock = checkout.read("app.lock")
    assert [line for line in lock.splitlines() if line in old.splitlines()] == old.splitlines()
    assert set(pins(lock)) - set(pins(old)) == {"helper", "py-acme"}
    assert '        "py-acme": ["acme"],\n        "pyyaml"' in checkout.read("BUILD")
    assert '  "acme.*",\n  "asyncpg.*",' in (checkout.folder / "pyproject.toml").read_text()
    assert _changed(before, checkout.state()) == {
        "3rdparty/python/app.txt",
        "3rdparty/python/app.lock",
        "3rdparty/python/app.wheels",
        "3rdparty/python/BUILD",
        "pyproject.toml",
    }
    assert "not checked for known vulnerabilities: SCAN_INDEX is not set" in out

    code, out = checkout.run("REMOVE=py-acme")
    assert code == 0, out
    assert checkout.state() == before


def test_stubs_of_an_untyped_library_are_added_for_tests(checkout: Checkout, index: Index) -> None:
    index.add("acme", "2.0")
    index.add("types-acme", "2.0.1", files=("acme-stubs/__init__.pyi",))
    before = checkout.state()
    code, out = checkout.run("ADD=acme>=1")
    assert code == 0, out
    text = checkout.read("app.txt")
    assert "acme>=1,<3\nattrs2<2\n" in text
    assert text.endswith("shared\ntypes-acme\n")
    changed = _changed(before, checkout.state())
    assert changed == {f"3rdparty/python/app.{one}" for one in ("txt", "lock", "wheels")}


def test_library_of_tests_has_no_bound_and_vulnerable_versions_are_named(
    checkout: Checkout, index: Index
) -> None:
    index.add("acme", "2.0", files=("acme/__init__.py", "acme/py.typed"))
    index.vulnerable["acme"] = [{"id": "PYSEC-1", "summary": "leaks", "fixed_in": ["2.1"]}]
    code, out = checkout.run("--ADD=acme", "--TO=test", SCAN_INDEX=index.url)
    assert code == 0, out
    assert checkout.read("app.txt").endswith("noticed.\nacme\nshared\n")
    assert "VULNERABLE acme 2.0 is affected, fixed in 2.1: leaks (advisories/acme/PYSEC-1)" in out


def test_upgrade_moves_one_package_in_each_lock_that_has_it(checkout: Checkout) -> None:
    before = checkout.state()
    code, out = checkout.run("--UPGRADE=shared")
    assert code == 0, out
    for name in ("app.lock", "test.lock"):
        assert "shared==1.1 " in checkout.read(name)
    assert "zebra==1.0 " in checkout.read("app.lock")
    changed = _changed(before, checkout.state())
    written = ("app.lock", "app.wheels", "test.lock")
    assert changed == {f"3rdparty/python/{one}" for one in written}


def test_upgrade_names_the_bound_that_holds_a_package_back(
    checkout: Checkout, index: Index
) -> None:
    index.add("zebra", "2.0")
    assert checkout.run("--UPGRADE=zebra")[0] == 0
    code, out = checkout.run("--UPGRADE=zebra")
    assert code == 0
    assert "zebra 1.1 stays: 2.0 is the newest, and 3rdparty/python/app.txt has 'zebra<2'" in out
    assert "zebra==1.1 " in checkout.read("mutants.lock")


def test_refused_changes_say_why_and_change_nothing(checkout: Checkout, index: Index) -> None:
    index.add("later-python", "1.0", python=">=3.14")
    index.add("only-intel", "1.0", tag="cp313-cp313-manylinux_2_28_x86_64")
    index.add("bound-breaker", "1.0", "zebra>=2")
    index.add("zebra", "0.9")
    index.add("pin-lowerer", "1.0", "zebra<1")
    before = checkout.state()
    for option, said in {
        "--ADD=no-such-thing": "no-such-thing was not found in the package registry",
        "--ADD=zebra": "zebra is already in 3rdparty/python/app.txt, as 'zebra<2'",
        "--ADD=acme>>1": 'no such comparison operator ">>"',
        "--ADD=acme @ https://example.com/a.whl": "a lock names packages, and no URLs",
        "--ADD=later-python": "Python>=3.14",
        "--ADD=only-intel": "there is none for arm64",
        "--ADD=bound-breaker": "because you require zebra<2",
        "--ADD=pin-lowerer": "conflicts with the pins: it needs zebra 0.9, and",
        "--ADD=zebra-crossing --TO=tset": "Did you mean test?",
        "--UPGRADE=zebar": "no lock holds zebar. Did you mean zebra?",
        "--REMOVE=zebar": "no manifest has zebar. Did you mean zebra?",
        "--REMOVE=shared": "shared is in 3rdparty/python/app.txt, 3rdparty/python/test.txt",
        "--DEB=redis": "DEB=redis: neither a manifest",
    }.items():
        code, out = checkout.run(*option.split(" --TO", 1)[:1], *_to(option))
        assert code == 1, (option, out)
        assert said in out, (option, out)
        assert "Traceback" not in out
        assert checkout.state() == before, option


def _to(option: str) -> list[str]:
    _, to, value = option.partition(" --TO=")
    return [f"--TO={value}"] if to else []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_changes_nothing(
    checkout: Checkout, index: Index, number: signal.Signals
) -> None:
    index.stuck.add("acme")
    before = checkout.state()
    with checkout.start("--ADD=acme") as process:
        assert index.asked.wait(60)
        refused = checkout.run("--UPGRADE=zebra")
        os.killpg(process.pid, number)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, "interrupted; nothing was changed" in out) == (130, True), out
    assert refused[0] == 1
    assert "another `make lock` runs in this checkout" in refused[1]
    assert checkout.state() == before

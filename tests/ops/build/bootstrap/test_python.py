"""python.sh finds working interpreters, creates missing ones, and explains failures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.build.debian import mirrors
from tests.ops.build.oci import samples

ROOT = Path(__file__).parents[4]
SCRIPT = ROOT / "ops/build/bootstrap/python.sh"
SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"


def find(version: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the script on a machine whose user has nothing installed."""
    passed = {"DEBIAN_MIRROR": mirrors.chosen(os.environ)}
    return subprocess.run(
        ["bash", str(SCRIPT), version],
        env={"PATH": SYSTEM, "HOME": str(home), **passed, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def fake(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_interpreter_on_path_is_used_and_broken_ones_are_skipped(tmp_path: Path) -> None:
    fake(tmp_path / "shims/python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    (tmp_path / "real").mkdir()
    (tmp_path / "real/python").symlink_to(sys.executable)
    done = find("3.13", tmp_path, PATH=f"{tmp_path}/shims:{tmp_path}/real:{SYSTEM}")
    assert done.returncode == 0, done.stderr
    # The real interpreter, not the virtual environment or link that led to it.
    assert done.stdout == f"{os.path.realpath(sys._base_executable)}\n"  # type: ignore[attr-defined]
    assert done.stderr == ""


@pytest.mark.parametrize(
    "place",
    [
        ".pyenv/versions/3.13.0/bin/python3.13",
        ".local/share/uv/python/cpython-3.13.0-linux-x86_64-gnu/bin/python3.13",
    ],
)
def test_managed_versions_are_found_outside_path(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).symlink_to(sys.executable)
    done = find("3.13", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("python3.13\n")


@pytest.mark.parametrize(("version", "variable"), [("3.9", "PANTS_PYTHON"), ("3.13", "PYTHON313")])
def test_unsuitable_choice_is_named(tmp_path: Path, version: str, variable: str) -> None:
    done = find(version, tmp_path, **{variable: "/bin/true"})
    assert done.returncode == 1
    assert f"{variable} is /bin/true, which is not a usable CPython {version}" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("version", "lock"), [("3.9", "python39"), ("3.13", "python313")])
def test_debian_packages_run_in_place_and_create_virtual_environments(
    tmp_path: Path, version: str, lock: str
) -> None:
    done = find(version, tmp_path, FASTAPI_BASE_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    python = done.stdout.strip()
    if not python.startswith(str(tmp_path)):
        assert python.startswith("/usr/"), python
        return  # the system has this version itself, which takes precedence
    venv = tmp_path / "venv"
    subprocess.run([python, "-m", "venv", str(venv)], check=True, timeout=120)
    code = "import ctypes, lzma, sqlite3, ssl, sys; print('%d.%d' % sys.version_info[:2])"
    for command in ([python, "-c", code], [str(venv / "bin/python"), "-c", code]):
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert said.stdout.strip() == version
    pip = subprocess.run([venv / "bin/pip", "--version"], capture_output=True, check=True)
    assert str(venv).encode() in pip.stdout
    again = find(version, tmp_path, FASTAPI_BASE_CACHE=str(tmp_path / "cache"))
    assert (again.stdout, again.stderr) == (done.stdout, "")
    if version == "3.9":
        library = Path(python).parents[1] / "lib/python3.9/os.py"
        samples.flip(library)
        package = max((tmp_path / "cache/debian").iterdir(), key=lambda file: file.stat().st_size)
        samples.truncate(package)
        repaired = find(version, tmp_path, FASTAPI_BASE_CACHE=str(tmp_path / "cache"))
        assert "is damaged; making it anew" in repaired.stderr
        assert "is damaged; fetching it again" in repaired.stderr
        assert repaired.stdout == done.stdout
        subprocess.run([python, "-c", code], check=True, timeout=60)


def test_mirror_without_the_packages_is_reported_by_package(tmp_path: Path) -> None:
    done = find(
        "3.9",
        tmp_path,
        DEBIAN_MIRROR=f"file:{tmp_path}",
        FASTAPI_BASE_CACHE=str(tmp_path / "empty"),
    )
    assert done.returncode == 1
    assert "no mirror gave the package ca-certificates" in done.stderr
    assert "make lock" in done.stderr
    assert "DEBIAN_MIRROR" in done.stderr
    assert not list((tmp_path / "empty/python").iterdir())


def test_modified_package_is_refused(tmp_path: Path) -> None:
    line = next(
        line
        for line in (ROOT / "3rdparty/debian/python39.lock").read_text().splitlines()
        if line.startswith(("amd64 ca-certificates ", "arm64 ca-certificates "))
    )
    path = tmp_path / "mirror" / line.split(" ")[5]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    done = find("3.9", tmp_path, DEBIAN_MIRROR=f"file:{tmp_path}/mirror")
    assert done.returncode == 1
    assert "ca-certificates" in done.stderr
    assert "its hash differs" in done.stderr

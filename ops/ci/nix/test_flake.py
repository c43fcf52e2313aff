"""flake.nix evaluates for every system, its lock matches, and its shell serves ./pants."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ops.ci.nix import flake_lock
from ops.ci.nix.nix import Nix, prepare

ROOT = Path(__file__).parents[3]
FILES = ("flake.nix", "flake.lock", "pants.toml", ".python-version", "3rdparty/pants/pants.lock")


@pytest.fixture(scope="module")
def nix(tmp_path_factory: pytest.TempPathFactory) -> Nix:
    return prepare(tmp_path_factory.mktemp("nix"))


@pytest.fixture
def flake(tmp_path: Path) -> Path:
    """A copy that a test may change."""
    folder = tmp_path / "flake"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path.name} holds no {old!r}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def inputs(nix: Nix, flake: Path) -> Any:
    done = nix.run("eval", "--json", "--file", str(flake / "flake.nix"), "inputs")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_lock_matches_the_flake(nix: Nix, flake: Path) -> None:
    lock = json.loads((flake / "flake.lock").read_text(encoding="utf-8"))
    assert list(flake_lock.problems(inputs(nix, flake), lock)) == []
    kept = nix.run("flake", "metadata", "--no-update-lock-file", "--json", f"path:{flake}")
    assert kept.returncode == 0, kept.stderr
    assert json.loads(kept.stdout)["locks"] == lock


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("nixos-24.11", "nixos-24.05", "nixpkgs-py39: flake.nix asks for"),
        ('"owner": "NixOS"', '"owner": "nobody"', "another repository"),
        ('"rev": "', '"rev": "main-', "is not a commit"),
        ("sha256-", "sha256-AAAA", "is not a SHA-256"),
        ('"nixpkgs-py39": "nixpkgs-py39"', '"other": "nixpkgs-py39"', "has the inputs"),
    ],
)
def test_mismatched_lock_is_named(nix: Nix, flake: Path, old: str, new: str, problem: str) -> None:
    edit(flake / "flake.lock", old, new)
    lock = json.loads((flake / "flake.lock").read_text(encoding="utf-8"))
    assert problem in "\n".join(flake_lock.problems(inputs(nix, flake), lock))


def test_nix_refuses_a_lock_of_other_inputs(nix: Nix, flake: Path) -> None:
    edit(flake / "flake.nix", "nixos-24.11", "nixos-24.05")
    done = nix.run("flake", "metadata", "--no-update-lock-file", f"path:{flake}")
    assert done.returncode != 0


def test_every_output_evaluates_for_every_system(nix: Nix, flake: Path) -> None:
    done = nix.on_stubs("flake check", flake, "--no-build", "--all-systems")
    assert done.returncode == 0, done.stderr
    for system in ("x86_64-linux", "aarch64-linux", "x86_64-darwin", "aarch64-darwin"):
        for output in ("apps.{}.pants", "devShells.{}.default", "formatter.{}", "checks.{}.format"):
            assert output.format(system) in done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("flake.nix", "              skopeo\n", "              skopeo-typo\n", "skopeo-typo"),
        (".python-version", "3.13", "3.12", ".python-version says 3.12"),
        (
            "pants.toml",
            '"CPython==3.13.*"',
            '"CPython==3.14.*"',
            "pants.toml asks for CPython==3.14",
        ),
        (
            "pants.toml",
            'pants_version = "2',
            'pants_version = "3',
            "pants.lock holds another Pants",
        ),
        ("flake.nix", "system}.python39;", "system}.python38;", "python38"),
    ],
)
def test_mismatched_sources_fail(
    nix: Nix, flake: Path, file: str, old: str, new: str, message: str
) -> None:
    edit(flake / file, old, new)
    done = nix.on_stubs("flake check", flake, "--no-build", "--all-systems")
    assert done.returncode != 0
    assert message in done.stderr


def test_shell_provides_what_the_launcher_reads(nix: Nix, flake: Path) -> None:
    probe = "; ".join(
        (
            'printf "%s\\n" "$FLAKE_ROOT" "$PANTS_PYTHON" "$PYTHON313" "$SSL_CERT_FILE"',
            'echo "$UV_PYTHON_DOWNLOADS" "${PYTHONPATH-unset}"',
            "command -v pants uv ruff docker-client skopeo redis postgresql_17 curl git jq",
        )
    )
    done = nix.on_stubs("develop", flake, "--command", "bash", "-c", probe)
    assert done.returncode == 0, done.stderr
    root, python39, python313, certificates, rest, *programs = done.stdout.splitlines()
    store = re.escape(str(nix.home / "store"))
    assert root == str(flake)
    assert re.fullmatch(rf"{store}/\w+-python3-3\.9\.\d+/bin/python3\.9", python39)
    assert re.fullmatch(rf"{store}/\w+-python313/bin/python3\.13", python313)
    assert re.fullmatch(rf"{store}/\w+-cacert/etc/ssl/certs/ca-bundle\.crt", certificates)
    assert rest == "never unset"
    assert len(programs) == 10
    assert all(program.startswith(str(nix.home / "store")) for program in programs)


def test_run_pants_executes_the_launcher_of_the_checkout(nix: Nix, flake: Path) -> None:
    launcher = flake / "pants"
    launcher.write_text('#!/bin/sh\necho "$0" "$PANTS_PYTHON" "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    (flake / "src").mkdir()
    done = nix.on_stubs("run", flake, "--", "list", "::", installable="#pants", folder="src")
    assert done.returncode == 0, done.stderr
    started, python39, *arguments = done.stdout.split()
    assert started == str(launcher)
    assert python39.endswith("/bin/python3.9")
    assert arguments == ["list", "::"]

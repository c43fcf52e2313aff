"""Files from Pex's cache are compared with the RECORD of their wheel."""

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from ops.build.oci import bytecode, folder, wheels
from ops.build.oci.errors import OciError
from tests.ops.build.oci import samples

INFO = "pack-1.dist-info"


def installed(root: Path) -> Path:
    """A directory with an installed wheel, as Pex lays it out."""
    files = {
        "pack/__init__.py": b"VALUE = 1\n",
        "pack/library.so": b"\x7fELF and so on",
        f"{INFO}/METADATA": b"Name: pack\nVersion: 1\n",
        f"{INFO}/entry_points.txt": b"",
    }
    lines = []
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(content)}")
    lines += [f"{INFO}/RECORD,,", "bin/pack,,", "../../bin/pack,,", "pack/__init__.pyc,,"]
    (root / INFO / "RECORD").write_text("\n".join(lines) + "\n")
    return root


def laid_out(root: Path) -> set[str]:
    tree = folder.python(root, "/app", "//:api", bytecode.own(), installed=True)
    return {entry.path for entry in tree.entries()}


def test_unmodified_wheel_is_accepted(tmp_path: Path) -> None:
    found = laid_out(installed(tmp_path))
    assert {"app/pack/__init__.py", "app/pack/library.so", f"app/{INFO}/RECORD"} <= found


@pytest.mark.parametrize("damage", [samples.flip, samples.truncate, samples.empty, Path.unlink])
@pytest.mark.parametrize("path", ["pack/__init__.py", "pack/library.so", f"{INFO}/METADATA"])
def test_damaged_file_is_refused_by_name(
    tmp_path: Path, path: str, damage: Callable[[Path], None]
) -> None:
    damage(installed(tmp_path) / path)
    with pytest.raises(OciError, match=rf"//:api: {path} .* RECORD.*pex_root"):
        laid_out(tmp_path)


def test_unrecorded_file_is_refused(tmp_path: Path) -> None:
    (installed(tmp_path) / "pack/added.py").write_text("")
    with pytest.raises(OciError, match=r"pack/added\.py is in no wheel's RECORD"):
        laid_out(tmp_path)


def test_record_without_hashes_is_refused(tmp_path: Path) -> None:
    record = installed(tmp_path) / INFO / "RECORD"
    record.write_text("pack/__init__.py,,\n" + "".join(record.read_text().splitlines(True)[1:]))
    with pytest.raises(OciError, match=r"pack/__init__\.py has no hash"):
        laid_out(tmp_path)


@pytest.mark.parametrize("damage", [samples.flip, samples.truncate, samples.empty, Path.unlink])
def test_damaged_wheel_in_a_pex_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = installed(tmp_path / "pack-1.whl")
    (wheel / ".layout.json").write_text("{}")
    for name in ("good", "bad"):
        with ZipFile(tmp_path / name, "w") as pex:
            pex.writestr("PEX-INFO", "{}")
            for path in (path for path in wheel.rglob("*") if path.is_file()):
                pex.write(path, f".deps/pack-1.whl/{path.relative_to(wheel)}")
        if name == "good":
            damage(wheel / "pack/library.so")
    assert wheels.main([str(tmp_path / "good")]) == 0
    assert wheels.main([str(tmp_path / "good"), str(tmp_path / "bad")]) == 1
    error = capsys.readouterr().err
    assert re.search(r"bad: pack-1\.whl: pack/library\.so .* RECORD.*pex_root", error)


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ([], 2, "name the PEX files"),
        # What the shell passes if no file matches.
        (
            ["dist/*.none"],
            1,
            "dist/*.none does not exist; build the PEX files with ./pants package ::",
        ),
        ([__file__], 1, "zip file"),
    ],
)
def test_command_names_what_cannot_be_checked(
    words: list[str], code: int, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wheels.main(words) == code
    assert error in capsys.readouterr().err


def test_own_sources_are_not_wheels(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")
    tree = folder.python(tmp_path, "/app", "//:api", bytecode.own())
    assert "app/own.py" in {entry.path for entry in tree.entries()}

"""`make doctor` names missing programs and how to get them, and installs nothing."""

import os
import subprocess
from pathlib import Path

SYSTEM = "/usr/local/bin:/usr/bin:/bin"


def doctor(home: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", "ops/ci/doctor.sh"],
        env={"PATH": path, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def only(folder: Path, *left_out: str) -> str:
    """A PATH with all programs of the system except these."""
    folder.mkdir()
    for place in reversed(SYSTEM.split(":")):
        for program in Path(place).iterdir():
            link = folder / program.name
            if program.name not in left_out and os.access(program, os.X_OK):
                link.unlink(missing_ok=True)
                link.symlink_to(program)
    return str(folder)


def missing(said: str) -> list[list[str]]:
    """The words of each line about something missing; free disk space depends on the machine."""
    lines = [line.split() for line in said.splitlines() if "MISSING" in line]
    return [words for words in lines if words[1] != "disk"]


def test_missing_program_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    done = doctor(tmp_path, only(tmp_path / "bin", "git"))
    assert done.returncode == 1
    [words] = missing(done.stdout)
    assert words[:2] == ["MISSING", "git"]
    assert "install git" in " ".join(words)


def test_programs_fetched_on_first_use_are_not_missing(tmp_path: Path) -> None:
    path = only(tmp_path / "bin", "make", "docker", "podman", "python3.13", "python3", "python")
    said = doctor(tmp_path, path).stdout
    lines = said.splitlines()
    assert [words[1] for words in missing(said)] == ["make"]
    assert any("CPython 3.13" in line and "first run" in line for line in lines)
    assert any("container engine" in line and "without" in line for line in lines)

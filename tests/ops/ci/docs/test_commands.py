"""Each command that a page tells readers to type is run by something, or a reason says why not."""

import re
import runpy
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fastapi_base.cli.main import app as service
from tests.ops.ci.docs.pages import commands, parts
from tests.ops.ci.docs.test_links import missing_names

PAGES = [
    *(Path(name) for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(page for page in sorted(Path("docs").glob("*.md")) if not page.name.startswith("README-")),
]
#: A program with at least one argument.
COMMAND = re.compile(
    r"(?:[A-Z_]+=\S* )*(?:make|\./pants|nix|docker|kubectl|git|curl|skopeo|npx|python3?|celery"
    r"|fastapi-base-migrate|\.venv/bin/\w+|ops/\S+\.sh) (?!-->)\S.*"
)
#: Names in running text that look like commands.
NAMES = {"python -m"}
PYTHON = ".venv/bin/python -m "
CLI = "fastapi-base-migrate "


@dataclass
class Entry:
    """An entry of commands.toml."""

    lines: list[str]
    by: list[str]
    reason: str

    def covers(self, line: str) -> bool:
        return any(re.fullmatch(one, line) for one in self.lines)


FILE = Path(__file__).with_name("commands.toml")
ENTRIES = [
    Entry(one["lines"], one.get("by", []), one.get("reason", ""))
    for one in tomllib.loads(FILE.read_text(encoding="utf-8"))["command"]
]


def typed(text: str) -> Iterator[str]:
    """The commands of a page."""
    for part in parts(text):
        for line in commands(part):
            if COMMAND.fullmatch(line) and line not in NAMES:
                yield line


def all_typed() -> set[str]:
    return {line for page in PAGES for line in typed(page.read_text(encoding="utf-8"))}


def test_each_command_is_run_or_has_a_reason() -> None:
    unknown = [line for line in all_typed() if not any(one.covers(line) for one in ENTRIES)]
    assert sorted(unknown) == []


def test_each_entry_is_needed() -> None:
    lines = all_typed()
    needless = [
        pattern
        for entry in ENTRIES
        for pattern in entry.lines
        if not any(re.fullmatch(pattern, line) for line in lines)
    ]
    assert needless == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.lines[0])
def test_what_runs_a_command_exists(entry: Entry) -> None:
    assert bool(entry.by) != bool(entry.reason)
    for one in entry.by:
        path = Path(one.partition("::")[0])
        assert path.is_file()
        assert list(missing_names(Path("docs/x.md"), f"`{one}`")) == []
        if path.suffix != ".py":
            lines = " ".join(line for line in all_typed() if entry.covers(line))
            targets = set(re.findall(r"\b(?:make|nix(?: flake)?) [a-z-]+", lines))
            assert targets
            assert [one for one in targets if one not in path.read_text(encoding="utf-8")] == []


def module_of(line: str) -> str:
    return shlex.split(line.partition(PYTHON)[2])[0]


MODULES = sorted({module_of(line) for line in all_typed() if PYTHON in line})


@pytest.mark.parametrize("module", MODULES)
def test_module_explains_its_arguments(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert ended.value.code in (0, None)
    assert "usage" in capsys.readouterr().out.lower()


@pytest.mark.parametrize("line", sorted(one for one in all_typed() if one.startswith(CLI)))
def test_command_of_the_service_accepts_the_arguments(line: str) -> None:
    assert list(wrong_arguments(line)) == []


def wrong_arguments(line: str) -> Iterator[str]:
    """Why the service's program would refuse the command and options of a line; nothing is run."""
    done = CliRunner().invoke(service, [*shlex.split(line)[1:], "--help"])
    if done.exit_code:
        yield f"{line}: {done.output}"


def test_wrong_commands_are_found() -> None:
    page = "Type `make fly SLICE=items`, `make up`, or:\n\n    kubectl get pods\n"
    assert list(typed(page)) == ["make fly SLICE=items", "make up", "kubectl get pods"]
    assert not any(entry.covers("make fly SLICE=items") for entry in ENTRIES)
    for line in ("jobs list --sate queued", "jobs lst", "account show a@example.com"):
        assert list(wrong_arguments(CLI + line)) != []
    assert list(wrong_arguments(CLI + "jobs list --state queued")) == []

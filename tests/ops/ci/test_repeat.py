"""`make repeat` finds flaky tests."""

import sys
from pathlib import Path

import psutil
import pytest

from ops.ci import repeat

# Replaces `make test`: writes a report in which one test fails in every second run.
PROGRAM = """
import os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
runs = folder.with_name("runs")
count = len(runs.read_text()) if runs.exists() else 0
runs.write_text("x" * (count + 1))
folder.with_name("args").write_text(os.environ["ARGS"])
folder.mkdir()
failure = "<failure/>" if count % 2 else ""
tests = f"<testcase classname='a' name='flaky'>{failure}</testcase>"
tests += "<testcase classname='a' name='stable'/>"
(folder / "report.xml").write_text(f"<testsuite>{tests if count < 4 else ''}</testsuite>")
sys.exit(bool(failure))
"""


def run(folder: Path, times: int) -> int:
    test = (sys.executable, "-c", PROGRAM, str(folder / "reports"))
    return repeat.repeat(["tests/x", "tests/y::"], times, test=test, reports=folder / "reports")


def test_flaky_test_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, 4) == 1
    said = capsys.readouterr().out
    assert "a::flaky failed in 2 of 4 runs" in said
    assert "2 of 4 runs passed" in said
    assert "stable" not in said
    assert (tmp_path / "args").read_text() == "--test-force tests/x tests/y::"


def test_runs_without_a_failure_succeed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, 1) == 0
    assert "1 of 1 runs passed" in capsys.readouterr().out


def test_run_without_tests_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, 5) == 2
    assert "executed no tests" in capsys.readouterr().err


def test_processors_stay_busy_until_the_end() -> None:
    with repeat.busy(2):
        loops = psutil.Process().children()
        assert len(loops) == 2
        assert all(loop.is_running() for loop in loops)
    assert not any(loop.is_running() for loop in loops)


@pytest.mark.parametrize("times", ["0", "many", "-1"])
def test_invalid_count_is_named(capsys: pytest.CaptureFixture[str], times: str) -> None:
    with pytest.raises(SystemExit):
        repeat.main([f"--times={times}", "tests/x"])
    assert "is not a number from 1 to 1000" in capsys.readouterr().err

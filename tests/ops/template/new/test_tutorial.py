"""The changes of docs/tutorial.md fit the code that its commands generate."""

import shutil
import subprocess
from pathlib import Path

from ops.template.formatting import ruff
from tests.ops.template.new.tutorial import blocks, environ, patch


def test_changes_fit_the_generated_code(tmp_path: Path) -> None:
    """The resources of the page in the package of the template, and its changes to them."""
    root = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    for place in ("src", "ops", "tests", "3rdparty/python"):
        shutil.copytree(place, root / place, ignore=ignored)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(name, root)
    commands = [text for language, _, text in blocks() if language == "bash"]
    made = [line for text in commands for line in text.splitlines() if "make resource" in line]
    assert len(made) == 2
    for line in made:
        done = subprocess.run(
            ["bash", "-euc", line], cwd=root, env=environ(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    diffs = [text for language, _, text in blocks() if language == "diff"]
    assert len(diffs) == 2
    for diff in diffs:
        patch(root, diff.replace("shop", "fastapi_base"))
    ruff.check(root, ruff.program(root), ["src", "tests"])

"""The documented commands that sign, verify, attest and compare, as the page has them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from ops.build.oci.entry import file
from tests.ops.build.oci import registries
from tests.ops.build.plugins.test_package import (
    IMAGE,
    INTERPRETER,
    LOADER,
    LOADERS,
    REQUIREMENTS,
    ROLES,
    locked,
)
from tests.ops.build.plugins.workspaces import Workspace, program, workspace

PAGE = Path("docs/reproducible-builds.md")
WAIVERS = """
[[waiver]]
name = "advisories/hello/CVE-1"
reason = "it only says hello"
expires = 2999-01-01
justification = "vulnerable_code_not_present"
"""


def test_documented_commands_verify_and_attest(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```bash verify\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    hello = locked(mirror, "hello", file("usr/bin/hello", b"hello", 0o755))
    loaders = [file(path, LOADER.encode(), 0o755) for path in LOADERS]
    python = locked(mirror, "python", *loaders, file("usr/bin/python3.13", b""))
    (tmp_path / "workspace").mkdir()
    (tmp_path / "registry").mkdir()
    with (
        workspace(tmp_path / "workspace", mirror) as made,
        registries.registry(tmp_path / "registry") as host,
    ):
        made.write("requirements/BUILD", REQUIREMENTS)
        made.write("ops/images/BUILD", IMAGE)
        made.write("ops/images/words", "hello\n")
        made.write("ops/images/hello.lock", hello)
        made.write("3rdparty/debian/BUILD", INTERPRETER)
        made.write("3rdparty/debian/python.lock", python)
        made.write("ops/ci/scan/BUILD", "python_sources()\n")
        made.write("ops/ci/scan/waivers.toml", WAIVERS)
        for name in ("__init__", "findings", "vex"):
            shutil.copy(f"ops/ci/scan/{name}.py", made.root / "ops/ci/scan")
        shutil.copy("Makefile", made.root)
        made.write("pants", f'#!/bin/sh\nexec {program()} "$@"\n')
        (made.root / "pants").chmod(0o755)
        made.write(".gitignore", "/dist/\n/.pants.d/\n/.pids/\n")
        commit(made)
        done = run(made, block, f"{host}/shop")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ok       rebuild      commit " in done.stdout
        assert "ok       provenance   signed by theirs.pub" in done.stdout
        assert "vex: 1 statements in " in done.stdout
        assert done.stdout.count("verify: verified") == 3
        assert done.stdout.rstrip().endswith(
            "equal content: only compression or annotations differ"
        )


def commit(made: Workspace) -> None:
    """Commit everything, so that a worktree can build."""
    who = {f"GIT_{role}_{part}": "it@example.org" for role in ROLES for part in ("NAME", "EMAIL")}
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", *words], cwd=made.root, env={**os.environ, **who}, check=True)


def run(made: Workspace, block: str, repository: str) -> subprocess.CompletedProcess[str]:
    named = {
        "REGISTRY": repository,
        "NAME": "team/hello",
        "ARCHIVE": "dist/hello-index.oci.tar",
    }
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=made.root,
        env={**made.environ, **named},
        capture_output=True,
        text=True,
        check=False,
    )

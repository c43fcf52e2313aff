import json
from pathlib import Path
from typing import Any

import pytest

from ops.build.oci import bytecode, cli
from ops.build.oci.entry import file
from tests.ops.build.oci import samples


def run(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, /, **spec: Any
) -> tuple[int, Any, str]:
    path = folder / "spec.json"
    path.write_text(json.dumps({"origin": "//:it", **spec}))
    code = cli.main([command, str(path)])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else None, err


@pytest.fixture
def _own_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    # The locked interpreter is 20 MB of packages; its output is tested with the images.
    monkeypatch.setattr(bytecode, "locked", lambda root, origin: bytecode.own())


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_own_compiler")
def test_from_packages_and_sources_to_an_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("debs").mkdir()
    samples.deb(Path("debs/x.deb"), "x", file("usr/bin/x", b"#!", 0o755))
    Path("src/app").mkdir(parents=True)
    Path("src/app/main.py").write_text("print()\n")
    Path("loose").mkdir()
    Path("loose/entry").write_text("")
    images = []
    for architecture in ("amd64", "arm64"):
        common = {"architecture": architecture, "comment": "a layer"}
        steps: list[tuple[str, dict[str, Any]]] = [
            ("rootfs", {"debs": "debs", "rootfs": {"base": True, "users": {"app": "10001"}}}),
            ("python", {"folder": "src", "into": "/app", "interpreter": "debs"}),
            ("files", {"folder": "loose", "into": "/opt", "mode": 0o755}),
        ]
        records = []
        for command, spec in steps:
            records.append(f"{command}-{architecture}.json")
            code, _, err = run(tmp_path, capsys, command, output=records[-1], **common, **spec)
            assert (code, err) == (0, "")
        images.append(f"{architecture}.oci.tar")
        code, built, err = run(
            tmp_path,
            capsys,
            "image",
            config={"entrypoint": ["/usr/bin/x"], "user": "app"},
            layers=records,
            platform=f"linux/{architecture}",
            reference=f"try/it:{architecture}",
            output=images[-1],
        )
        assert (code, err) == (0, "")
        assert len(built["layers"]) == 3
    code, built, err = run(
        tmp_path, capsys, "index", images=images, reference="try/it:1", output="index.oci.tar"
    )
    assert (code, err) == (0, "")
    assert built["digest"].startswith("sha256:")
    assert Path("index.oci.tar").is_file()


def test_python_is_not_compiled_by_the_builders_interpreter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("src").mkdir()
    Path("src/main.py").write_text("print()\n")
    code, out, err = run(
        tmp_path,
        capsys,
        "python",
        folder="src",
        into="/app",
        output="x.json",
        comment="",
        architecture="amd64",
    )
    assert (code, out) == (1, None)
    assert err.startswith("//:it: there is Python to compile, and no interpreter for it")


def test_error_is_one_sentence_that_names_the_target(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(
        tmp_path,
        capsys,
        "fetch",
        lock="missing.lock",
        without=[],
        architecture="amd64",
        output="debs",
        cache="",
    )
    assert (code, out) == (1, None)
    assert err == "//:it: missing.lock: no such lock; `make lock` writes it from its manifest\n"

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from ops.build.oci import archive, contents, image_diff
from ops.build.oci.config import Config
from ops.build.oci.entry import Entry, file, symlink
from ops.build.oci.errors import OciError
from ops.build.oci.registry import Reference, Registry
from tests.ops.build.oci import referrers, samples, signed

STATUS = "Package: {0}\nVersion: {1}\nArchitecture: amd64\nDepends: {2}\n"


def deb(name: str, version: str, depends: str = "") -> Entry:
    text = STATUS.format(name, version, depends)
    return file(f"var/lib/dpkg/status.d/{name}", text.encode())


def wheel(name: str, version: str, *lines: str) -> Entry:
    head = "\n".join([f"Name: {name}", f"Version: {version}", *lines])
    return file(f"app/{name}-{version}.dist-info/METADATA", head.encode())


def image(folder: Path, *content: Entry, user: str = "app", tag: str = "1") -> str:
    folder.mkdir()
    base = samples.made(folder, "base", file("etc/same", b"1"))
    top = samples.made(folder, "top", *content)
    output = folder / "it.oci.tar"
    named = "linux/amd64", f"try/it:{tag}", "//:it"
    archive.image(Config(user=user), [base, top], *named, output)
    return str(output)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert image_diff.main(list(words)) == 0
    return capsys.readouterr().out.splitlines()


def test_settings_layers_packages_and_files_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = image(
        tmp_path / "one",
        deb("aa", "1.0", "bb"),
        deb("bb", "1.0"),
        wheel("old", "1"),
        file("app/changed", b"1"),
        file("app/mode", b""),
        file("app/removed", b"123"),
        symlink("app/link", "changed"),
    )
    other = image(
        tmp_path / "other",
        deb("aa", "1.0", "bb"),
        deb("bb", "2.0"),
        wheel("one", "3", "Requires-Dist: two"),
        wheel("two", "4"),
        file("app/changed", b"12"),
        file("app/mode", b"", 0o755),
        file("app/added", b"1234"),
        symlink("app/link", "mode"),
        user="other",
    )
    lines = run(capsys, one, other)
    for expected in (
        '  User: "app" -> "other"',
        "  base: 0.01 MB, unpacked 0.01 MB",
        "~ deb bb 1.0 -> 2.0, required by aa",
        "- pypi old 1, required by nothing else in the image",
        "+ pypi two 4, required by one",
        "~ /app/changed content, 1 -> 2 bytes",
        "~ /app/link changed -> mode",
        "~ /app/mode mode 0644 -> 0755",
        "+ /app/added 4 bytes, 0644",
        "- /app/removed 3 bytes, 0644",
    ):
        assert expected in lines, lines
    assert any(line.startswith("~ top: ") for line in lines)
    assert "equal" not in lines
    assert not any("etc/same" in line or "deb aa" in line for line in lines)


def test_image_equals_itself_and_its_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = image(tmp_path / "one", deb("aa", "1.0"), file("app/x", b"1"))
    assert run(capsys, one, one)[-1] == "equal"
    with tarfile.open(one) as tar:
        tar.extractall(tmp_path / "layout", filter="data")
    assert run(capsys, one, str(tmp_path / "layout"))[-1] == "equal"


def test_compression_is_no_difference_of_content(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = image(tmp_path / "one", file("app/x", b"1"))
    with tarfile.open(one) as tar:
        tar.extractall(tmp_path / "layout", filter="data")
    listed = json.loads((tmp_path / "layout/index.json").read_text())
    blobs = tmp_path / "layout/blobs/sha256"
    manifest = json.loads((blobs / listed["manifests"][0]["digest"][7:]).read_text())
    for layer in manifest["layers"]:
        content = gzip.compress((blobs / layer["digest"][7:]).read_bytes())
        layer["digest"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        layer["size"], layer["mediaType"] = len(content), f"{layer['mediaType']}+gzip"
        (blobs / layer["digest"][7:]).write_bytes(content)
    text = json.dumps(manifest).encode()
    name = hashlib.sha256(text).hexdigest()
    (blobs / name).write_bytes(text)
    lines = run(capsys, one, f"{tmp_path}/layout@sha256:{name}")
    assert not any(line.startswith(("~", "+", "-")) for line in lines if "/" in line)
    assert "  top: 0.01 MB -> 0.00 MB, unpacked 0.01 MB" in lines
    assert lines[-1] == "equal content: only compression or annotations differ"


def test_why_comes_from_the_attached_bill_of_materials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = signed.image(tmp_path / "one")
    with referrers.registry() as (host, _):
        registry = Registry(Reference.parse(f"{host}/try/it:1"))
        made.publish(registry, None)
        name = f"{registry.reference.repository}:1"
        lines = run(capsys, str(made.file), name, "--all")
    assert "  deb one 1.0-1, required by nothing else in the image" in lines
    assert lines[-1] == "equal"


def test_whiteouts_of_other_builders_remove_files(tmp_path: Path) -> None:
    def layer(*names: str) -> bytes:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            for name in names:
                tar.addfile(tarfile.TarInfo(f"./{name}"))
        return data.getvalue()

    tars = [layer("a/one", "a/two", "b/three", "c"), layer("a/.wh.one", "b/.wh..wh..opq", "b/four")]
    read = [[(path, one) for path, one, _ in contents.entries(tar, "it")] for tar in tars]
    assert sorted(contents.stacked(read)) == ["a/two", "b/four", "c"]


@pytest.mark.parametrize("word", ["none.tar", "x"])
def test_image_that_cannot_be_read_is_named(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert image_diff.main([word, word]) == 2
    assert f"image-diff: {word}: no such archive" in capsys.readouterr().err


def test_damaged_layer_is_named() -> None:
    for start in (b"\x28\xb5\x2f\xfd", b"\x1f\x8b"):
        with pytest.raises(OciError, match=r"sha256:1: the layer .* cannot be unpacked"):
            contents.unpacked("a/b", start + b"nothing", "sha256:1")

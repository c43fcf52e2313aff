"""Differences between two artefacts are shown, down to the file in the layer in the archive."""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path


def _tar(name: str, content: bytes) -> bytes:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, BytesIO(content))
    return out.getvalue()


def _archive(path: Path, content: bytes) -> Path:
    path.write_bytes(_tar("blobs/layer", _tar("etc/app.conf", content)))
    return path


def _differences(one: Path, other: Path) -> subprocess.CompletedProcess[str]:
    command = ["ops/ci/diffoscope.sh", str(one), str(other)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_difference_is_shown_with_its_location(tmp_path: Path) -> None:
    one = _archive(tmp_path / "one.tar", b"port 80\n")
    shown = _differences(one, _archive(tmp_path / "other.tar", b"port 81\n"))
    assert shown.returncode == 1, shown.stderr
    assert "blobs/layer" in shown.stdout
    assert "etc/app.conf" in shown.stdout
    assert "-port 80" in shown.stdout
    assert "+port 81" in shown.stdout


def test_equal_files_show_no_difference(tmp_path: Path) -> None:
    one = _archive(tmp_path / "one.tar", b"port 80\n")
    shown = _differences(one, _archive(tmp_path / "other.tar", b"port 80\n"))
    assert (shown.returncode, shown.stdout) == (0, ""), shown.stderr

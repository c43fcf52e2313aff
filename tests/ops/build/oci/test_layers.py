"""The table and the picture of an image's layers, from archives that the builder wrote."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from ops.images import layers
from tests.ops.build.oci.samples import build


def test_table_shows_which_layers_an_edit_rebuilt(tmp_path: Path) -> None:
    _, before = build(tmp_path / "before", content=b"1")
    built, after = build(tmp_path / "after", content=b"2")
    *_, lower, upper = layers.table(layers.read(after), layers.read(before)).splitlines()
    assert built.layers[0][7:19] in lower
    assert lower.endswith("| the same |")
    assert built.layers[1][7:19] in upper
    assert upper.endswith("| rebuilt |")


def test_picture_has_a_bar_of_each_layers_size(tmp_path: Path) -> None:
    _, archive = build(tmp_path, content=b"x" * 100_000)
    read = layers.read(archive)
    picture = ElementTree.fromstring(layers.draw({"one": read, "two": read[:1]}))
    bars = [
        float(bar.attrib["width"])
        for bar in picture.iter("{http://www.w3.org/2000/svg}rect")
        if bar.attrib.get("height") == str(layers.BAR)
    ]
    assert len(bars) == len(read) + 1
    assert sum(bars[: len(read)]) == pytest.approx(layers.WIDTH, abs=1)
    assert bars[0] / bars[1] == pytest.approx(read[0].size / read[1].size, rel=0.1)
    assert [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")][:2] == [
        "one",
        f"{sum(one.size for one in read) / 1e6:.0f} MB",
    ]


def test_file_that_is_not_an_archive_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "api.oci.tar"
    damaged.write_bytes(b"not a tar")
    assert layers.main(["table", str(damaged)]) == 1
    assert f"{damaged}: expected the archive of one image" in capsys.readouterr().err

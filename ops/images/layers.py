"""Show the layers of an image's archive, their sizes, and which of them an edit rebuilt.

    python ops/images/layers.py table AFTER [BEFORE]
    python ops/images/layers.py draw FOLDER PICTURE.svg

``table`` prints Markdown; given the archive from before the edit, it shows for each layer whether
it is unchanged. ``draw`` draws all single-platform images for x86-64 in a folder.
"""

import argparse
import json
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

BAR, STEP, LEFT, WIDTH = 26, 40, 90, 640
COLOURS = ("#4c78a8", "#72b7b2", "#eeca3b", "#b0b7c3", "#e45756", "#f58518", "#54a24b", "#b279a2")
HEADINGS = ("layer", "digest", "MB")


@dataclass(frozen=True)
class Layer:
    """A layer: its content, its digest, and the size of its plain tar in bytes."""

    holds: str
    digest: str
    size: int


def read(archive: Path) -> list[Layer]:
    """The layers of an archive, lowest first.

    Raises ValueError for a file that is not the archive of one image.
    """
    try:
        with tarfile.open(archive) as opened:
            manifests = _json(opened, "index.json")["manifests"]
            manifest = _blob(opened, manifests[0]["digest"])
            config = _blob(opened, manifest["config"]["digest"])
    except (OSError, tarfile.TarError, KeyError) as error:
        raise ValueError(f"{archive}: expected the archive of one image: {error}") from error
    return [
        Layer(step["comment"], layer["digest"], layer["size"])
        for step, layer in zip(config["history"], manifest["layers"], strict=True)
    ]


def table(after: Sequence[Layer], before: Sequence[Layer] | None) -> str:
    """Markdown; a layer is unchanged if the earlier image had its digest."""
    known = {layer.digest for layer in before or ()}
    headings = (*HEADINGS, "after the edit") if before is not None else HEADINGS
    rows = [
        (layer.holds, f"`{layer.digest[7:19]}`", f"{layer.size / 1e6:.2f}")
        + (("the same" if layer.digest in known else "rebuilt",) if before is not None else ())
        for layer in after
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, ["---"] * len(headings), *rows))


def draw(images: dict[str, list[Layer]]) -> str:
    """An SVG with a bar per image and a section per layer; equal layers have equal colours."""
    digests = list(dict.fromkeys(one.digest for layers in images.values() for one in layers))
    names = {one.digest: one.holds for layers in images.values() for one in layers}
    colours = {digest: COLOURS[index % len(COLOURS)] for index, digest in enumerate(digests)}
    scale = WIDTH / max(sum(one.size for one in layers) for layers in images.values())
    height = STEP * len(images) + 22 * len(digests) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 90} {height}" '
        'font-family="sans-serif" font-size="14" role="img">',
        "<title>Layers of the images by size</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for row, (image, layers) in enumerate(images.items()):
        top, left = 10 + row * STEP, float(LEFT)
        parts.append(
            f'<text x="{LEFT - 8}" y="{top + 18}" text-anchor="end">{escape(image)}</text>'
        )
        for one in layers:
            wide = one.size * scale
            parts.append(
                f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{BAR}" '
                f'fill="{colours[one.digest]}"><title>{escape(one.holds)}</title></rect>'
            )
            left += wide
        total = sum(one.size for one in layers) / 1e6
        parts.append(f'<text x="{left + 8:.1f}" y="{top + 18}">{total:.0f} MB</text>')
    for row, digest in enumerate(digests):
        top = 20 + STEP * len(images) + 22 * row
        parts.append(
            f'<rect x="{LEFT}" y="{top}" width="14" height="14" fill="{colours[digest]}"/>'
        )
        parts.append(f'<text x="{LEFT + 22}" y="{top + 12}">{escape(names[digest])}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    tell = commands.add_parser("table", help="print an image's layers as Markdown")
    tell.add_argument("after", type=Path, help="an archive, as dist/api.oci.tar")
    tell.add_argument("before", type=Path, nargs="?", help="the archive from before the edit")
    picture = commands.add_parser("draw", help="draw the images of a folder")
    picture.add_argument("folder", type=Path, help="where the archives are, as dist")
    picture.add_argument("picture", type=Path, help="the SVG file to write")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "table":
            before = read(chosen.before) if chosen.before else None
            print(table(read(chosen.after), before))
        else:
            names = ("api", "worker", "migrate", "postgres", "redis")
            images = {name: read(chosen.folder / f"{name}.oci.tar") for name in names}
            chosen.picture.write_text(draw(images), encoding="utf-8")
    except ValueError as error:
        print(f"layers: {error}", file=sys.stderr)
        return 1
    return 0


def _json(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.extractfile(name)
    return json.loads(member.read() if member else b"")


def _blob(archive: tarfile.TarFile, digest: str) -> Any:
    return _json(archive, f"blobs/sha256/{digest.removeprefix('sha256:')}")


if __name__ == "__main__":
    sys.exit(main())

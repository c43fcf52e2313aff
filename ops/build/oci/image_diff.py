"""Compare two images: settings, layers, packages with what requires them, and files.

    python -m ops.build.oci.image_diff A B [--platform linux/amd64] [--all]

A and B are archives or directories with an OCI layout, or HOST/NAME:TAG and HOST/NAME@DIGEST.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from ops.build.oci import edges, loaded, stores
from ops.build.oci.contents import File
from ops.build.oci.entry import Kind
from ops.build.oci.errors import OciError
from ops.build.oci.loaded import Loaded

#: Lines of a section that are shown without ``--all``.
LIMIT = 40


def difference(one: Loaded, other: Loaded) -> Iterator[tuple[str, list[str]]]:
    """The sections that differ, each with its lines; none if both images have the same content."""
    for title, lines in (
        ("settings", list(_settings(one, other))),
        ("layers", list(_layers(one, other))),
        ("packages", list(_packages(one, other))),
        ("files", list(_files(one.files, other.files))),
    ):
        if lines:
            yield title, lines


def _settings(one: Loaded, other: Loaded) -> Iterator[str]:
    for name in sorted(one.settings.keys() | other.settings.keys()):
        before, after = one.settings.get(name), other.settings.get(name)
        if before != after:
            yield f"  {name}: {_text(before)} -> {_text(after)}"


def _text(value: object) -> str:
    if value is None:
        return "none"
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _layers(one: Loaded, other: Loaded) -> Iterator[str]:
    if one.layers == other.layers:
        return
    for before, after in zip_longest(one.layers, other.layers):
        if before is None or after is None:
            there = before or after
            yield f"{'-' if before else '+'} {there.title}: {_size(there.stored)}"
            continue
        sign = " " if before.diff_id == after.diff_id else "~"
        title = before.title if before.title == after.title else f"{before.title} -> {after.title}"
        unpacked = _change(before.unpacked, after.unpacked)
        yield f"{sign} {title}: {_change(before.stored, after.stored)}, unpacked {unpacked}"


def _packages(one: Loaded, other: Loaded) -> Iterator[str]:
    for name in sorted(one.packages.keys() | other.packages.keys()):
        before, after = one.packages.get(name), other.packages.get(name)
        title = " ".join(name)
        if before is None and after is not None:
            yield f"+ {title} {after.version}, {_required(other, name)}"
        elif after is None and before is not None:
            yield f"- {title} {before.version}, {_required(one, name)}"
        elif before and after and before.version != after.version:
            yield f"~ {title} {before.version} -> {after.version}, {_required(other, name)}"


def _required(image: Loaded, name: edges.Key) -> str:
    by = sorted(set(image.why.get(name, ())))
    return f"required by {', '.join(by)}" if by else "required by nothing else in the image"


def _files(one: Mapping[str, File], other: Mapping[str, File]) -> Iterator[str]:
    for path in sorted(one.keys() | other.keys()):
        before, after = one.get(path), other.get(path)
        if before is None and after is not None:
            yield f"+ /{path} {_described(after)}"
        elif after is None and before is not None:
            yield f"- /{path} {_described(before)}"
        elif before and after and (changes := list(_changes(before, after))):
            yield f"~ /{path} {', '.join(changes)}"


def _changes(before: File, after: File) -> Iterator[str]:
    if before.kind is not after.kind:
        yield f"{before.kind.value} -> {after.kind.value}"
        return
    if before.identity != after.identity:
        linked = before.kind is not Kind.FILE
        yield f"{before.identity} -> {after.identity}" if linked else "content"
    if before.size != after.size:
        yield f"{before.size} -> {after.size} bytes"
    if before.mode != after.mode:
        yield f"mode {before.mode:04o} -> {after.mode:04o}"
    if (before.uid, before.gid) != (after.uid, after.gid):
        yield f"owner {before.uid}:{before.gid} -> {after.uid}:{after.gid}"


def _described(file: File) -> str:
    if file.kind is Kind.FILE:
        return f"{file.size} bytes, {file.mode:04o}"
    return f"{file.kind.value}{f' to {file.identity}' if file.identity else ''}"


def _change(before: int, after: int) -> str:
    return _size(before) if before == after else f"{_size(before)} -> {_size(after)}"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


def _listed(image: Loaded) -> Iterator[str]:
    for name, component in sorted(image.packages.items()):
        yield f"  {' '.join(name)} {component.version}, {_required(image, name)}"


def main(arguments: list[str] | None = None) -> int:
    """Print the difference. Status 0; 2 if an image cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m ops.build.oci.image_diff",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("one", metavar="A")
    parser.add_argument("other", metavar="B")
    parser.add_argument("--platform", default="linux/amd64", help="which image of an index")
    parser.add_argument("--all", action="store_true", help="every line, and every package of B")
    chosen = parser.parse_args(arguments)
    try:
        one, other = (
            loaded.load(stores.find(name), chosen.platform) for name in (chosen.one, chosen.other)
        )
    except (OciError, ValueError, KeyError) as error:
        print(f"image-diff: {error}", file=sys.stderr)
        return 2
    for sign, image in (("A", one), ("B", other)):
        stored = sum(layer.stored for layer in image.layers)
        unpacked = sum(file.size for file in image.files.values())
        print(
            f"{sign} {image.name} {image.digest}\n  {len(image.layers)} layers, {_size(stored)}, "
            f"{_size(unpacked)} in {len(image.files)} files, {len(image.packages)} packages"
        )
    sections = list(difference(one, other))
    for title, lines in sections:
        _print(title, lines, everything=chosen.all)
    if chosen.all:
        _print("packages of B", list(_listed(other)), everything=True)
    if one.digest == other.digest:
        print("equal")
    elif equal_content(one, other):
        print("\nequal content: only compression or annotations differ")
    return 0


def equal_content(one: Loaded, other: Loaded) -> bool:
    """Whether containers of both images are the same: by the layers unpacked, and the settings."""
    unpacked = [[layer.diff_id for layer in image.layers] for image in (one, other)]
    return unpacked[0] == unpacked[1] and one.settings == other.settings


def _print(title: str, lines: list[str], *, everything: bool) -> None:
    print(f"\n{title}")
    shown = lines if everything else lines[:LIMIT]
    print("\n".join(shown))
    if len(lines) > len(shown):
        print(f"  and {len(lines) - len(shown)} more (ARGS=--all shows them)")


if __name__ == "__main__":
    sys.exit(main())

"""Verify an image: its content, its signed documents and, by a rebuild, its origin.

    python -m ops.build.oci.verify IMAGE --key KEY.pub [--key OTHER.pub] [--builder URI]
        [--rebuild]

IMAGE is HOST/NAME@sha256:DIGEST, or an archive or directory with an OCI layout. Each line of the
output is a link from the image to its origin: verified, MISSING or WRONG. The exit status is 0 only
if all are verified.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ops.build.oci import components, contents, evidence, provenance, rebuild, sbom, statements
from ops.build.oci.components import Component
from ops.build.oci.entry import Entry
from ops.build.oci.errors import OciError
from ops.build.oci.evidence import Evidence, Signed
from ops.build.oci.keys import PublicKey
from ops.build.oci.links import Link, missing, ok, wrong
from ops.build.oci.stores import Store, find


def image(
    store: Store, digest: str, keys: Sequence[PublicKey], builder: str = ""
) -> Iterator[Link]:
    """The links of an image, or of an index and the images that it joins.

    Every key must have signed the provenance, and one of them the SBOM. ``builder`` is the id that
    the provenance must name; empty for any.
    """
    try:
        manifest = json.loads(store.manifest(digest))
    except (OciError, ValueError) as error:
        yield wrong("image", str(error))
        return
    yield ok("image", f"{store.name}@{digest}")
    found = evidence.collect(digest, store.documents(digest), keys)
    yield from found.links
    yield from evidence.required(found, statements.PROVENANCE, "provenance", keys)
    if "manifests" in manifest:
        yield from _readable(_provenance(found, builder))
        yield from _readable(_joined(manifest, found))
        for one in manifest["manifests"]:
            yield from image(store, str(one["digest"]), keys, builder)
        return
    try:
        config = json.loads(store.blob(manifest["config"]["digest"]))
        packages = list(_packages(store, manifest, config))
    except (OciError, ValueError, KeyError) as error:
        yield wrong("layers", str(error))
        return
    yield ok("layers", f"{len(manifest['layers'])}, as manifest and configuration name them")
    yield from _readable(_provenance(found, builder, config))
    yield from _readable(_bills(found, digest, config, packages))


def _readable(links: Iterator[Link]) -> Iterator[Link]:
    """The links; a signed document without a field that it must have is a wrong one."""
    try:
        yield from links
    except (KeyError, TypeError, AttributeError) as error:
        yield wrong("statement", f"a signed document cannot be read: {error!r}")


def _packages(
    store: Store, manifest: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[Component]:
    """The packages in the layers, each of which is compared with both of its digests."""
    diff_ids = config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(manifest["layers"]):
        raise OciError("the configuration names other layers than the manifest")
    for layer, diff_id in zip(manifest["layers"], diff_ids, strict=True):
        content = store.blob(layer["digest"])
        tar = contents.unpacked(layer["mediaType"], content, layer["digest"])
        if contents.digest(tar) != diff_id:
            raise OciError(f"{layer['digest']} unpacks to {contents.digest(tar)}, not {diff_id}")
        made = (contents.entry(*one) for one in contents.entries(tar, layer["digest"]))
        read: list[Entry] = [one for one in made if one is not None]
        yield from components.find(read)


def _provenance(
    found: Evidence, builder: str, config: Mapping[str, Any] | None = None
) -> Iterator[Link]:
    signed_ones = found.of(statements.PROVENANCE)
    builders = [rebuild.builder(one.statement.predicate) for one in signed_ones]
    if builder and builder not in builders:
        yield missing("builder", f"no provenance names {builder}")
    for signed in signed_ones:
        said = signed.statement.predicate
        yield from _origin(said)
        if config is None:
            continue
        made = [
            f"sha256:{one['digest']['sha256']}" for one in said["runDetails"].get("byproducts", ())
        ]
        if made == config["rootfs"]["diff_ids"]:
            yield ok("built", "the layers that the provenance names")
        else:
            yield wrong("built", "the provenance names other layers than the image has")


def _origin(said: Mapping[str, Any]) -> Iterator[Link]:
    """The links within a statement: who built what, out of which source."""
    yield ok("builder", rebuild.builder(said))
    inputs = said["buildDefinition"]["resolvedDependencies"]
    if commit := rebuild.commit(said):
        yield ok("source", f"commit {commit}")
    else:
        yield missing("source", "the commit is not recorded, or files differed from it")
    open_ones = [one.get("uri") or one.get("name") for one in inputs if not one.get("digest")]
    if open_ones:
        yield missing("inputs", f"without a digest: {', '.join(map(str, open_ones))}")
    else:
        yield ok("inputs", f"{len(inputs)}, each with its digest")


def _joined(index: Mapping[str, Any], found: Evidence) -> Iterator[Link]:
    joined = {str(one["digest"]).removeprefix("sha256:") for one in index["manifests"]}
    for signed in found.of(statements.PROVENANCE):
        inputs = signed.statement.predicate["buildDefinition"]["resolvedDependencies"]
        named = {one["digest"]["sha256"] for one in inputs if one["name"] != provenance.SOURCE}
        if named == joined:
            yield ok("built", "the images that the provenance names")
        else:
            yield wrong("built", "the provenance names other images than the index joins")


def _bills(
    found: Evidence, digest: str, config: Mapping[str, Any], packages: Sequence[Component]
) -> Iterator[Link]:
    known: list[Signed] = found.of(statements.BILL)
    if not known:
        yield missing("SBOM", "none is signed by these keys")
    for signed in known:
        bill = signed.statement.predicate
        about = bill["metadata"]["component"]["version"]
        if about != digest:
            yield wrong("SBOM", f"describes {about}")
            continue
        listed = {one["purl"] for one in bill.get("components", ()) if "purl" in one}
        there = {sbom.purl(one).to_string() for one in packages}
        layers = {
            one["value"]
            for part in bill.get("components", ())
            for one in part.get("properties", ())
            if one["name"] == "layer"
        }
        unknown = sorted(layers - set(config["rootfs"]["diff_ids"]))
        differing = sorted(listed ^ there)
        if unknown or differing:
            yield wrong("SBOM", f"differs from the image: {', '.join([*unknown, *differing])}")
        else:
            yield ok("SBOM", f"lists the {len(there)} packages that are in the layers")


def main(arguments: list[str] | None = None) -> int:
    """Print each link; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ops.build.oci.verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image")
    parser.add_argument("--key", action="append", required=True, type=Path)
    parser.add_argument("--builder", default="", metavar="URI")
    parser.add_argument("--rebuild", action="store_true")
    chosen = parser.parse_args(arguments)
    links: list[Link] = []

    def tell(link: Link) -> None:
        links.append(link)
        print(link, flush=True)

    try:
        keys = [PublicKey.read(path) for path in chosen.key]
        store = find(chosen.image)
        for link in image(store, store.digest, keys, chosen.builder):
            tell(link)
        if chosen.rebuild:
            tell(rebuild.compared(store, keys, Path.cwd()))
    except OciError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 1
    failed = [link for link in links if not link.holds]
    print(f"verify: {len(failed)} of {len(links)} links failed" if failed else "verify: verified")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

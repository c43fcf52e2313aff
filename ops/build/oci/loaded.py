"""An image in memory: its configuration, layers, files and packages."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.build.oci import components, contents, edges, statements
from ops.build.oci.components import Component
from ops.build.oci.contents import File
from ops.build.oci.errors import OciError
from ops.build.oci.stores import Store


@dataclass(frozen=True)
class LayerSize:
    """A layer: who made it, its diff ID, and its bytes as stored and as tar."""

    title: str
    diff_id: str
    stored: int
    unpacked: int


@dataclass(frozen=True)
class Loaded:
    """``why`` maps each package to what requires it; nothing does where the image itself does."""

    name: str
    digest: str
    settings: Mapping[str, Any]
    layers: tuple[LayerSize, ...]
    files: Mapping[str, File]
    packages: Mapping[edges.Key, Component]
    why: Mapping[edges.Key, list[str]]


def load(store: Store, platform: str) -> Loaded:
    """Read an image, or the image of an index for this platform. Raises OciError."""
    digest = store.digest
    manifest = json.loads(store.manifest(digest))
    if "manifests" in manifest:
        digest = _chosen(manifest, platform, store.name)
        manifest = json.loads(store.manifest(digest))
    config = json.loads(store.blob(manifest["config"]["digest"]))
    titles = [one for one in config.get("history", ()) if not one.get("empty_layer")]
    layers, read = [], []
    found: list[Component] = []
    for number, one in enumerate(manifest["layers"]):
        tar = contents.unpacked(one["mediaType"], store.blob(one["digest"]), one["digest"])
        title = titles[number] if number < len(titles) else {}
        said = title.get("comment") or title.get("created_by") or f"layer {number + 1}"
        layers.append(LayerSize(said, contents.digest(tar), one["size"], len(tar)))
        known = list(contents.entries(tar, one["digest"]))
        read.append([(path, file) for path, file, _ in known])
        made = (contents.entry(*each) for each in known)
        found += components.find([each for each in made if each is not None])
    packages = {edges.key(one): one for one in found}
    settings = {"platform": f"{config['os']}/{config['architecture']}", **config.get("config", {})}
    why = _why(store, digest, packages, settings["platform"])
    files = contents.stacked(read)
    return Loaded(store.name, digest, settings, tuple(layers), files, packages, why)


def _chosen(index: Mapping[str, Any], platform: str, name: str) -> str:
    known = {
        f"{one['platform']['os']}/{one['platform']['architecture']}": str(one["digest"])
        for one in index["manifests"]
        if "platform" in one
    }
    if platform not in known:
        raise OciError(f"{name}: has no image for {platform}, only for {', '.join(sorted(known))}")
    return known[platform]


def _why(
    store: Store, digest: str, packages: Mapping[edges.Key, Component], platform: str
) -> dict[edges.Key, list[str]]:
    """What requires each package: by the image's SBOM, which knows our sources, if it has one."""
    for document in store.documents(digest):
        if document.media_type == statements.BILL_TYPE:
            return _stated(json.loads(document.content))
    reverse = edges.required_by(edges.edges(packages.values(), platform))
    return {name: [one for _, one in by] for name, by in reverse.items()}


def _stated(bill: Mapping[str, Any]) -> dict[edges.Key, list[str]]:
    names: dict[str, edges.Key] = {}
    for one in bill.get("components", ()):
        kind = one["purl"].partition(":")[2].partition("/")[0] if "purl" in one else "app"
        names[one["bom-ref"]] = (kind, one["name"])
    found: dict[edges.Key, list[str]] = {name: [] for name in names.values()}
    for one in bill.get("dependencies", ()):
        for required in one.get("dependsOn", ()):
            if one["ref"] in names and required in names:
                found[names[required]].append(names[one["ref"]][1])
    return found

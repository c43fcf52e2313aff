"""State which waived advisories do not affect an image (OpenVEX 0.2.0).

./pants run ops/ci/scan/vex.py -- IMAGE OUTPUT.json --author WHO

IMAGE is HOST/NAME:TAG, HOST/NAME@DIGEST or an archive; its SBOM says which packages it has.
"""

import argparse
import datetime
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from packageurl import PackageURL

from ops.build.oci import statements, stores
from ops.build.oci.errors import OciError
from ops.build.oci.stores import Store
from ops.ci.scan.findings import Waiver, WaiverError, waivers

CONTEXT = "https://openvex.dev/ns/v0.2.0"
_WAIVERS = Path("ops/ci/scan/waivers.toml")


def document(
    bills: Iterable[Any], excused: Iterable[Waiver], author: str, now: datetime.datetime
) -> dict[str, Any] | None:
    """The document about the images of these bills of materials; None if there is nothing to
    state.

    It has the unexpired waivers with a justification, of advisories for packages in the images.
    """
    images = [_packages(bill) for bill in bills]
    stated = list(_statements(excused, images, now))
    if not stated:
        return None
    text = json.dumps(stated, sort_keys=True)
    return {
        "@context": CONTEXT,
        "@id": f"urn:sha256:{sha256(text.encode()).hexdigest()}",
        "author": author,
        "timestamp": now.isoformat(timespec="seconds"),
        "version": 1,
        "statements": stated,
    }


def _packages(bill: Any) -> tuple[str, dict[str, list[str]]]:
    """The package URL of an image, and those of its packages by their names."""
    image = bill["metadata"]["component"]
    name = image["name"].rpartition("/")[2]
    product = PackageURL("oci", None, name, image["version"], {"repository_url": image["name"]})
    packages: dict[str, list[str]] = {}
    for component in bill.get("components", ()):
        if "purl" in component:
            url = PackageURL.from_string(component["purl"])
            packages.setdefault(url.name, []).append(component["purl"])
    return product.to_string(), packages


def _statements(
    excused: Iterable[Waiver],
    images: Sequence[tuple[str, Mapping[str, list[str]]]],
    now: datetime.datetime,
) -> Iterator[dict[str, Any]]:
    for waiver in sorted(excused, key=lambda one: one.name):
        kind, _, rest = waiver.name.partition("/")
        package, _, advisory = rest.partition("/")
        if kind != "advisories" or not waiver.justification or waiver.expires < now.date():
            continue
        products = [
            {"@id": image, "subcomponents": [{"@id": one} for one in sorted(packages[package])]}
            for image, packages in images
            if package in packages
        ]
        if products:
            yield {
                "vulnerability": {"name": advisory},
                "products": products,
                "status": "not_affected",
                "justification": waiver.justification,
                "impact_statement": waiver.reason,
            }


def bills(store: Store) -> list[Any]:
    """The bills of materials that are attached to an image, or to the images of an index."""
    index = json.loads(store.manifest(store.digest))
    digests = [str(one["digest"]) for one in index.get("manifests", ())] or [store.digest]
    return [
        json.loads(document.content)
        for digest in digests
        for document in store.documents(digest)
        if document.media_type == statements.BILL_TYPE
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the document. Status 0; 2 if an image or a file cannot be read."""
    parser = argparse.ArgumentParser(prog="vex", description=__doc__)
    parser.add_argument("image")
    parser.add_argument("output", type=Path)
    parser.add_argument("--author", required=True)
    parser.add_argument("--waivers", type=Path, default=_WAIVERS)
    chosen = parser.parse_args(arguments)
    now = datetime.datetime.now(datetime.UTC)
    try:
        read = bills(stores.find(chosen.image))
        if not read:
            raise OciError(f"{chosen.image} has no SBOM that says which packages are in it")
        made = document(read, waivers(chosen.waivers), chosen.author, now)
    except (OciError, WaiverError, ValueError, KeyError) as error:
        print(f"vex: {error}", file=sys.stderr)
        return 2
    if made is None:
        print("vex: no waiver has a justification for a package of this image: nothing to state")
        return 0
    chosen.output.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"vex: {len(made['statements'])} statements in {chosen.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

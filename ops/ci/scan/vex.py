"""State which waived advisories do not affect an image (OpenVEX 0.2.0).

./pants run ops/ci/scan/vex.py -- IMAGE.cdx.json OUTPUT.json --author WHO
"""

import argparse
import datetime
import json
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from packageurl import PackageURL

from ops.ci.scan.findings import Waiver, WaiverError, waivers

CONTEXT = "https://openvex.dev/ns/v0.2.0"
_WAIVERS = Path("ops/ci/scan/waivers.toml")


def document(
    bill: Any, excused: Iterable[Waiver], author: str, now: datetime.datetime
) -> dict[str, Any] | None:
    """The document about the image of a bill of materials; None if there is nothing to state.

    It has the unexpired waivers with a justification, of advisories for packages in the image.
    """
    image = bill["metadata"]["component"]
    name = image["name"].rpartition("/")[2]
    product = PackageURL("oci", None, name, image["version"], {"repository_url": image["name"]})
    packages: dict[str, list[str]] = {}
    for component in bill.get("components", ()):
        if "purl" in component:
            url = PackageURL.from_string(component["purl"])
            packages.setdefault(url.name, []).append(component["purl"])
    stated = list(_statements(excused, packages, product.to_string(), now))
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


def _statements(
    excused: Iterable[Waiver], packages: dict[str, list[str]], product: str, now: datetime.datetime
) -> Iterator[dict[str, Any]]:
    for waiver in sorted(excused, key=lambda one: one.name):
        kind, _, rest = waiver.name.partition("/")
        package, _, advisory = rest.partition("/")
        if kind != "advisories" or not waiver.justification or waiver.expires < now.date():
            continue
        if affected := sorted(packages.get(package, ())):
            yield {
                "vulnerability": {"name": advisory},
                "products": [{"@id": product, "subcomponents": [{"@id": one} for one in affected]}],
                "status": "not_affected",
                "justification": waiver.justification,
                "impact_statement": waiver.reason,
            }


def main(arguments: list[str] | None = None) -> int:
    """Write the document. Status 0; 2 if a file cannot be read."""
    parser = argparse.ArgumentParser(prog="vex", description=__doc__)
    parser.add_argument("bill", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--author", required=True)
    parser.add_argument("--waivers", type=Path, default=_WAIVERS)
    chosen = parser.parse_args(arguments)
    now = datetime.datetime.now(datetime.UTC)
    try:
        bill = json.loads(chosen.bill.read_bytes())
        made = document(bill, waivers(chosen.waivers), chosen.author, now)
    except (OSError, ValueError, KeyError, WaiverError) as error:
        print(f"vex: {error!r}", file=sys.stderr)
        return 2
    if made is None:
        print("vex: no waiver has a justification for a package of this image: nothing to state")
        return 0
    chosen.output.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"vex: {len(made['statements'])} statements in {chosen.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

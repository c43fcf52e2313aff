"""The documents about an image: its bill of materials and its provenance.

    python -m ops.build.oci.documents SPEC.json

Pants runs it as a process and caches the result, so the JSON file names all inputs. With ``images``
(platforms and digests) it is about the index that joins them, which has no bill of materials.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.build.oci import layer, locked, provenance, sbom
from ops.build.oci.errors import OciError

Spec = Mapping[str, Any]


def image(spec: Spec) -> None:
    """Write both documents of an image. Raises OciError for an unlocked package."""
    layers = [layer.read(Path(record))[0] for record in spec["layers"]]
    locks = {name: Path(name).read_bytes() for name in spec["locks"]}
    named = spec["digest"], spec["reference"], spec["platform"]
    texts = {name: content.decode() for name, content in locks.items()}
    components = [component for one in layers for component in one.components]
    locked.check(components, texts, spec["origin"])
    _write(spec["sbom"], sbom.cyclonedx(*named, layers, texts.values()))
    built = spec["builder_id"], spec["form"], spec.get("source", {})
    _write(spec["provenance"], provenance.image(spec["origin"], *named, layers, locks, *built))


def index(spec: Spec) -> None:
    """Write the provenance of an index."""
    named = spec["origin"], spec["digest"], spec["reference"]
    made = spec["images"], spec["builder_id"], spec["form"], spec.get("source", {})
    _write(spec["provenance"], provenance.index(*named, *made))


def main(arguments: list[str] | None = None) -> int:
    """Write what the JSON file requests; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 1:
        print("oci: expected is one argument, the JSON file that says what to do", file=sys.stderr)
        return 2
    spec = json.loads(Path(words[0]).read_text(encoding="utf-8"))
    try:
        (index if "images" in spec else image)(spec)
    except OciError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

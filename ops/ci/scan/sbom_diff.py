"""Compare the bills of materials (CycloneDX) of two releases.

./pants run ops/ci/scan/sbom_diff.py -- OLD.json NEW.json
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packageurl import PackageURL

#: A component: its version and its licences.
Parts = dict[tuple[str, str], tuple[str, str]]


def parts(document: Any) -> Parts:
    """The packages of a document, by kind and name."""
    found: Parts = {}
    for component in document.get("components", []):
        licences = sorted(
            one.get("expression") or one["license"].get("id") or one["license"]["name"]
            for one in component.get("licenses", [])
        )
        key, version = _identity(component)
        found[key] = (version, ", ".join(licences))
    return found


def _identity(component: Any) -> tuple[tuple[str, str], str]:
    """Kind, name and version: from its package URL if it has one, else from its name."""
    if "purl" not in component:
        return (component["type"], component["name"]), component.get("version", "")
    url = PackageURL.from_string(component["purl"])
    return (url.type, url.name), url.version or ""


def difference(old: Parts, new: Parts) -> Iterator[str]:
    """A line for each package that was added, removed, or changed its version or licence."""
    for key in sorted(old.keys() | new.keys()):
        title = f"{key[0]} {key[1]}"
        if key not in old:
            yield f"+ {title} {new[key][0]} ({new[key][1] or 'no licence declared'})"
        elif key not in new:
            yield f"- {title} {old[key][0]}"
        else:
            (version, licence), (later, later_licence) = old[key], new[key]
            if version != later:
                yield f"  {title} {version} -> {later}"
            if licence != later_licence:
                yield f"! {title}: licence {licence or 'none'} -> {later_licence or 'none'}"


def main(arguments: list[str] | None = None) -> int:
    """Print the difference of two documents. Status 0; 2 if a file cannot be read."""
    parser = argparse.ArgumentParser(prog="sbom_diff", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    chosen = parser.parse_args(arguments)
    try:
        old, new = (parts(json.loads(path.read_bytes())) for path in (chosen.old, chosen.new))
    except (OSError, ValueError, KeyError) as error:
        print(f"sbom_diff: not a CycloneDX SBOM: {error}", file=sys.stderr)
        return 2
    lines = list(difference(old, new))
    print("\n".join(lines) if lines else "no differences")
    return 0


if __name__ == "__main__":
    sys.exit(main())

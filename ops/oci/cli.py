"""The builder: one step of an image, told by a JSON file.

    python -m ops.oci.cli SPEC.json

Pants runs each step as a process whose result it keeps by the content of what went in. A mistake in
what was asked for ends with one sentence and exit code 1.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.debian.deb import DebError
from ops.debian.fetch import FetchError
from ops.debian.lock import LockError
from ops.debian.mirrors import MirrorError
from ops.oci import steps
from ops.oci.elf import MachineError
from ops.oci.image import ImageError
from ops.oci.tree import TreeError

STEPS: dict[str, Callable[[Any], None]] = {
    "fetch": steps.fetch_packages,
    "rootfs": steps.rootfs,
    "dependencies": steps.dependencies,
    "sources": steps.sources,
    "image": steps.image,
    "index": steps.index,
}


def main(argv: list[str]) -> int:
    """Run the step of a spec. Returns the exit code."""
    spec = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    try:
        STEPS[spec["step"]](spec)
    except (
        DebError,
        FetchError,
        ImageError,
        LockError,
        MachineError,
        MirrorError,
        TreeError,
    ) as error:
        print(f"{spec['target']}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

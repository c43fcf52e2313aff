"""The builder's commands, each a function of only a JSON file and the files that it names.

    python -m ops.build.oci.cli COMMAND SPEC.json

Pants runs them as processes and caches their results. The result goes to stdout, as one line of
JSON; an input error goes to stderr as a sentence, with exit code 1.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ops.build.debian.deb import DebError
from ops.build.debian.fetch import FetchError
from ops.build.debian.lock import LockError
from ops.build.debian.mirrors import MirrorError
from ops.build.oci import archive, bytecode, compression, debian, folder, layer, packages
from ops.build.oci.bytecode import Compiler
from ops.build.oci.components import Component
from ops.build.oci.config import Config
from ops.build.oci.errors import OciError
from ops.build.oci.tree import Tree

#: In the cache of packages: environment variables with this machine's network settings for mirrors.
#: Pants leaves them there, since they may contain passwords.
NETWORK = "network.json"

Spec = Mapping[str, Any]
Result = Mapping[str, Any]


def fetch(spec: Spec) -> Result:
    """Download and verify the Debian packages of a layer."""
    locks = [Path(path) for path in spec["without"]]
    chosen = packages.select(Path(spec["lock"]), spec["architecture"], locks, spec["origin"])
    cache = Path(spec["cache"] or ".debs")
    network = cache / NETWORK
    if network.is_file():
        os.environ.update(json.loads(network.read_text(encoding="utf-8")))
    return {"packages": len(packages.gather(chosen, Path(spec["output"]), cache))}


def unpack(spec: Spec) -> Result:
    """Unpack programs that build."""
    debs = sorted(Path(spec["debs"]).glob("*.deb"))
    bytecode.unpack(debs, Path(spec["output"]))
    return {"packages": len(debs)}


def rootfs(spec: Spec) -> Result:
    """Build a layer of Debian packages."""
    debs = sorted(Path(spec["debs"]).glob("*.deb")) if spec["debs"] else []
    wanted = debian.Rootfs(spec["origin"], debs, **spec["rootfs"])
    return _layer(spec, debian.rootfs(wanted, _interpreter(spec)))


def python(spec: Spec) -> Result:
    """Build a layer of Python code: a folder and its bytecode."""
    tree = folder.python(
        Path(spec["folder"]),
        spec["into"],
        spec["origin"],
        _interpreter(spec),
        installed=spec.get("installed", False),
        stripper=Path(spec["stripper"]) if spec.get("stripper") else None,
    )
    requires = spec.get("requires")
    return _layer(spec, tree, None if requires is None else folder.application(tree, requires))


def files(spec: Spec) -> Result:
    """Build a layer of loose files."""
    return _layer(
        spec, Tree(folder.files(Path(spec["folder"]), spec["into"], spec["origin"], spec["mode"]))
    )


def compress(spec: Spec) -> Result:
    """Compress a layer."""
    kind, record, output = spec["compression"], Path(spec["layer"]), Path(spec["output"])
    return asdict(compression.write(kind, record, output, _interpreter(spec)))


def image(spec: Spec) -> Result:
    """Build an image of one platform."""
    return asdict(
        archive.image(
            Config(**spec["config"]),
            [layer.read(Path(record)) for record in spec["layers"]],
            spec["platform"],
            spec["reference"],
            spec["origin"],
            Path(spec["output"]),
            [compression.read(Path(record)) for record in spec.get("compressed", ())],
            spec.get("annotations", {}),
        )
    )


def index(spec: Spec) -> Result:
    """Join images of several platforms under one name."""
    images = [Path(path) for path in spec["images"]]
    named = spec["reference"], spec["origin"], Path(spec["output"])
    return asdict(archive.index(images, *named, spec.get("annotations", {})))


COMMANDS: Mapping[str, Callable[[Spec], Result]] = {
    command.__name__: command
    for command in (fetch, unpack, rootfs, python, files, compress, image, index)
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ops.build.oci.cli", description=__doc__)
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("spec", type=Path)
    chosen = parser.parse_args(arguments)
    spec = json.loads(chosen.spec.read_text(encoding="utf-8"))
    try:
        result = COMMANDS[chosen.command](spec)
    except (OciError, DebError, FetchError, LockError, MirrorError) as error:
        origin, text = str(spec["origin"]), str(error)
        print(text if text.startswith(origin) else f"{origin}: {text}", file=sys.stderr)
        return 1
    print(json.dumps(result, sort_keys=True))
    return 0


def _interpreter(spec: Spec) -> Compiler:
    """The locked interpreter, in the folder that the spec names."""
    if not spec.get("interpreter"):
        # The builder's own must not be used silently: its bytecode may differ.
        return bytecode.NONE
    return bytecode.locked(Path(spec["interpreter"]), spec["origin"])


def _layer(spec: Spec, tree: Tree, sources: Component | None = None) -> Result:
    output = Path(spec["output"])
    named = spec["origin"], spec["comment"], spec["architecture"]
    made = layer.write(tree.entries(), output, *named, sources)
    return {**asdict(made), "components": len(made.components), "files": len(made.files)}


if __name__ == "__main__":
    sys.exit(main())

"""The steps that the builder knows; each reads files named in its spec and writes one output."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ops.debian import fetch, lock, mirrors
from ops.debian.lock import Package
from ops.oci import archive, elf, layer, python
from ops.oci import rootfs as root
from ops.oci.image import Healthcheck, Image, ImageError, Settings, make
from ops.oci.tree import TreeError, check_layers

Spec = dict[str, Any]


def fetch_packages(spec: Spec) -> None:
    """Packages of a lock for an architecture, as ``OUTPUT/SHA256.deb``; ``cache`` outlives runs."""
    wanted = select(spec["packages"], spec["architecture"])
    cache = Path(spec["cache"])
    files = fetch.fetch(wanted, cache, mirrors.find(), progress=fetch.note)
    output = Path(spec["output"])
    output.mkdir()
    for file in files:
        shutil.copyfile(file, output / file.name)


def select(sources: Iterable[dict[str, Any]], architecture: str) -> list[Package]:
    """The packages of locks for an architecture, less those that are left out.

    Each source has ``lock`` (a file), ``target`` (its address), ``only`` and ``without`` (names).
    Raises LockError for a name that the lock does not have, and for two versions of a package.
    """
    chosen: dict[str, tuple[Package, str]] = {}
    for source in sources:
        target = source["target"]
        here = {
            p.name: p for p in lock.read(Path(source["lock"])) if p.architecture == architecture
        }
        if not here:
            raise lock.LockError(
                f"{target}: {source['lock']} has no package for {architecture}; add the "
                "architecture to its manifest and run `make lock`"
            )
        for name in (*source["only"], *source["without"]):
            if name not in here:
                raise lock.LockError(
                    f"{target}: package {name} is not in {source['lock']} for {architecture}; "
                    f"correct the name, or add it to the manifest and run `make lock`"
                )
        for name in source["only"] or here:
            package = here[name]
            if name in source["without"]:
                continue
            before = chosen.get(name)
            if before and before[0].sha256 != package.sha256:
                raise lock.LockError(
                    f"{name} is {before[0].version} in {before[1]} and {package.version} in "
                    f"{target}; refresh both locks with `make lock`"
                )
            chosen[name] = (package, target)
    return sorted(package for package, _ in chosen.values())


def above(spec: Spec) -> list[Package]:
    """The packages of a rootfs that the ones it lies on do not have. Raises LockError."""
    architecture = spec["architecture"]
    below = select(spec["below"], architecture) if spec["below"] else []
    # Together, so that a package of two versions is found.
    everything = select([*spec["below"], *spec["packages"]], architecture)
    have = {package.name for package in below}
    return [package for package in everything if package.name not in have]


def rootfs(spec: Spec) -> None:
    """A root file system layer."""
    folder = Path(spec["debs"])
    packages = [(package, fetch.path(folder, package)) for package in above(spec)]
    what = root.Rootfs(
        name=spec["target"],
        skeleton=not spec["on_base"],
        users=spec["users"],
        known_users=spec["known_users"],
        directories=spec["directories"],
        links=spec["links"],
        files=spec["files"],
        exclude=tuple(spec["exclude"]),
        compile=tuple(spec["compile"]),
    )
    layer.write(root.build(what, packages), Path(spec["output"]))


def dependencies(spec: Spec) -> None:
    """The layer of third-party packages."""
    tree = python.dependencies(Path(spec["pex"]), spec["folder"], spec["architecture"])
    layer.write(tree, Path(spec["output"]))


def sources(spec: Spec) -> None:
    """The layer of our own sources."""
    files = [(path, Path(spec["root"]) / path) for path in spec["files"]]
    layer.write(python.sources(files, spec["folder"]), Path(spec["output"]))


def image(spec: Spec) -> None:
    """An image: layers on a base, checked against each other, with its settings."""
    architecture = spec["architecture"]
    below: tuple[layer.Layer, ...] = ()
    inherited = Settings()
    if spec["base"]:
        base, inherited = _base(Path(spec["base"]), architecture)
        below = base.layers
    layers = [
        *below,
        *(layer.describe(item["name"], Path(item["file"])) for item in spec["layers"]),
    ]
    if not layers:
        raise ImageError("has no layer; give it a base, layers or a pex")
    trees = [(item.name, layer.read(item.file, item.name)) for item in layers]
    check_layers(trees)
    executables = sum(elf.check(tree, architecture, name) for name, tree in trees)
    made = make(architecture, layers, merged(inherited, spec["settings"]), spec["tags"])
    digest = archive.write([made], Path(spec["output"]))
    size = sum(item.size for item in layers)
    print(f"{digest}  linux/{architecture}, {size / 1e6:.1f} MB unpacked, {executables} ELF files")
    for item in layers:
        print(f"  {item.digest}  {item.size / 1e6:7.1f} MB  {item.name}")


def index(spec: Spec) -> None:
    """Images for several platforms, joined."""
    images: list[Image] = []
    for number, item in enumerate(spec["images"]):
        for one, _ in archive.read(Path(item["file"]), Path(f"_layers{number}")):
            if any(one.architecture == other.architecture for other in images):
                raise ImageError(
                    f"{item['target']} is for linux/{one.architecture}, as another image of the "
                    "index is; name one image for each platform"
                )
            images.append(replace(one, tags=tuple(spec["tags"]) or one.tags))
    if len(images) < 2:
        raise ImageError("joins fewer than two images; use the image itself")
    digest = archive.write(images, Path(spec["output"]))
    print(f"{digest}  {', '.join(f'linux/{one.architecture}' for one in images)}")


def merged(base: Settings, own: dict[str, Any]) -> Settings:
    """The settings of an image on a base: what it sets wins; env and labels add up."""
    check = own["healthcheck"]
    entrypoint = tuple(own["entrypoint"])
    return Settings(
        entrypoint=entrypoint or base.entrypoint,
        # A base's command would be no sense to another program, as in Docker's own rule.
        cmd=tuple(own["cmd"]) or (() if entrypoint else base.cmd),
        user=own["user"] or base.user,
        workdir=own["workdir"] or base.workdir,
        stop_signal=own["stop_signal"] or base.stop_signal,
        env={**base.env, **own["env"]},
        labels={**base.labels, **own["labels"]},
        ports=tuple(dict.fromkeys((*base.ports, *own["ports"]))),
        volumes=tuple(dict.fromkeys((*base.volumes, *own["volumes"]))),
        healthcheck=Healthcheck(tuple(check), **own["healthcheck_times"])
        if check
        else base.healthcheck,
    )


def _base(file: Path, architecture: str) -> tuple[Image, Settings]:
    images = archive.read(file, Path("_base"))
    for one, settings in images:
        if one.architecture == architecture:
            return one, settings
    raise TreeError(
        f"base {file} is for {', '.join(one.architecture for one, _ in images)}, the image for "
        f"{architecture}; name the base of its own platform"
    )

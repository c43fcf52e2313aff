"""Pants' error for an invalid target: its address, the problem, and the remedy."""

from collections.abc import Iterator

import pytest

from ops.build.debian.lock import render
from ops.build.oci.entry import file
from tests.ops.build.debian.samples import package
from tests.ops.build.oci.samples import deb
from tests.ops.build.plugins.workspaces import Workspace, workspace

#: One BUILD file each; the target `bad` is requested.
BUILDS = {
    "port": 'oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", ports=["http"])',
    "user": 'oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", user="a b")',
    "volume": 'oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", volumes=["data"])',
    "reference": 'oci_image(name="bad", platforms=["linux/amd64"], reference="no-tag")',
    "signal": 'oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", stop_signal="9")',
    "platform": 'oci_image(name="bad", platforms=["linux/riscv64"], reference="a:1")',
    "twice": 'oci_image(name="bad", platforms=["linux/amd64"] * 2, reference="a:1")',
    "none": 'oci_image(name="bad", platforms=[], reference="a:1")',
    "empty": 'oci_image(name="bad", platforms=["linux/amd64"], reference="a:1")',
    "spelling": 'oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", entry=["x"])',
    "owner": """
oci_rootfs(name="layer", directories={"/data": "root"})
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":layer"])
""",
    "base": """
oci_rootfs(name="layer")
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", base=":layer")
""",
    "other": """
oci_rootfs(name="layer")
oci_image(name="below", platforms=["linux/arm64"], reference="b:1", layers=[":layer"])
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", base=":below")
""",
    "layer": """
oci_rootfs(name="layer")
oci_image(name="below", platforms=["linux/amd64"], reference="b:1", layers=[":layer"])
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":below"])
""",
    "kind": """
oci_rootfs(name="other")
oci_rootfs(name="layer", packages=":other")
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":layer"])
""",
    "packages": """
oci_rootfs(name="layer", packages=":no-such")
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":layer"])
""",
    "into": """
oci_files(name="layer", sources=["one"], into="/usr/../../etc")
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":layer"])
""",
    "link": """
oci_rootfs(name="layer", links={"/usr/bin/x": "../../../etc/passwd"})
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":layer"])
""",
    "unequal": """
oci_files(name="first", sources=["one"], into="/usr/share/app")
oci_rootfs(name="second", on=":ground", directories={"/usr/share/app/one": "1:1:0700"})
oci_rootfs(name="ground")
oci_image(
    name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":ground", ":first", ":second"]
)
""",
    "gone": """
debian_packages(name="packages", lock="gone.lock")
oci_rootfs(name="layer", packages=":packages")
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":layer"])
""",
    "hash": """
debian_packages(name="packages", lock="hash.lock")
oci_rootfs(name="layer", packages=":packages")
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":layer"])
""",
    "architecture": """
debian_packages(name="packages", lock="architecture.lock")
oci_rootfs(name="layer", packages=":packages")
oci_image(name="bad", platforms=["linux/arm64"], reference="a:1", layers=[":layer"])
""",
    "malformed": """
debian_packages(name="packages", lock="malformed.lock")
oci_rootfs(name="layer", packages=":packages")
oci_image(name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":layer"])
""",
    "pex": """
oci_rootfs(name="layer")
oci_image(
    name="bad", platforms=["linux/amd64"], reference="a:1", layers=[":layer"], pex=[":layer"]
)
""",
    "index": """
oci_rootfs(name="layer")
oci_image(name="one", platforms=["linux/amd64"], reference="a:1", layers=[":layer"])
oci_image(name="two", platforms=["linux/amd64"], reference="a:2", layers=[":layer"])
oci_index(name="bad", images=[":one#amd64", ":two#amd64"], reference="a:3")
""",
}


@pytest.fixture(scope="module")
def pants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    mirror = tmp_path_factory.mktemp("mirror")
    built = deb(mirror / "hello.deb", "hello", file("usr/bin/hello", b"hello", 0o755))
    locked = package("hello", built.read_bytes())
    tampered = package("hello", bytes(len(built.read_bytes())))
    (mirror / locked.path).parent.mkdir(parents=True)
    built.rename(mirror / locked.path)
    gone = package("gone", b"x")
    with workspace(tmp_path_factory.mktemp("workspace"), mirror) as made:
        for name in ("into", "unequal"):
            made.write(f"{name}/one", "1")
        made.write("gone/gone.lock", render([gone], "gone.toml"))
        made.write("hash/hash.lock", render([tampered], "hash.toml"))
        made.write("architecture/architecture.lock", render([locked], "architecture.toml"))
        made.write("malformed/malformed.lock", "hello 1.0\n")
        yield made


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("port", ["port:bad#amd64: field 'ports' has 'http'", 'such as "8000/tcp"']),
        ("user", ["user:bad#amd64: field 'user' has 'a b'", 'such as "10001:10001"']),
        ("volume", ["volume:bad#amd64: field 'volumes' has 'data'", "an absolute path"]),
        ("reference", ["reference:bad#amd64: field 'reference' has 'no-tag'", "with a tag"]),
        ("signal", ["'stop_signal' field in target signal:bad#amd64", "SIGTERM"]),
        ("platform", ["platform:bad: field 'platforms' has 'linux/riscv64'", '"linux/arm64"']),
        ("twice", ["twice:bad: field 'platforms' has ['linux/amd64', 'linux/amd64']", "each once"]),
        ("none", ["none:bad: field 'platforms' has []", "one or more of linux/amd64"]),
        ("empty", ["empty:bad#amd64: has no layer; give it a base, layers or a pex"]),
        ("spelling", ["Unrecognized field `entry=['x']` in target spelling:bad", "entrypoint"]),
        ("owner", ["owner:layer: field 'directories' has 'root'", 'such as "999:999:0700"']),
        ("base", ["base:bad#amd64: field 'base' names base:layer", "it takes an oci_image"]),
        ("other", ["other:bad#amd64 is for linux/amd64", ":below for linux/arm64", "to the base"]),
        (
            "layer",
            ["layer:bad#amd64: field 'layers' names layer:below", "oci_rootfs and oci_files"],
        ),
        ("kind", ["kind:layer: field 'packages' names kind:other", "takes a debian_packages"]),
        ("packages", ["no-such", "packages:layer", "Did you mean"]),
        ("into", ["into:layer: '/usr/../../etc' would leave the image's root", "without '..'"]),
        ("link", ["link:layer: link usr/bin/x -> ../../../etc/passwd would leave", "fewer '..'"]),
        ("unequal", ["unequal:first", "unequal:second", "/usr/share/app/one"]),
        ("gone", ["gone:layer: gone 1.0-1 (amd64): no mirror gave", "make lock", "DEBIAN_MIRROR"]),
        ("hash", ["hash:layer: hello 1.0-1 (amd64)", "sent SHA-256", "the lock says"]),
        ("architecture", ["architecture:layer: architecture.lock locks nothing for arm64"]),
        ("malformed", ["malformed.lock:1: 2 fields where six are expected"]),
        ("pex", ["pex:bad#amd64: field 'pex' names pex:layer", "it takes pex_binary targets"]),
        ("index", ["index:bad: field 'images' has two for linux/amd64; name one a platform"]),
    ],
)
def test_error_names_the_target_and_the_remedy(
    pants: Workspace, name: str, said: list[str]
) -> None:
    # One at a time: Pants reads every target to resolve the imports of the builder.
    with pants.file(f"{name}/BUILD", BUILDS[name]):
        done = pants.run("package", f"{name}:bad")
    assert done.returncode == 1, done.stdout
    text = " ".join(done.stderr.split())
    assert [part for part in said if part not in text] == [], done.stderr

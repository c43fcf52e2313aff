"""Images and a site built by Pants itself, and images published by the documented command."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ops.build.debian.lock import render
from ops.build.oci.entry import Entry, file
from ops.build.oci.registry import Reference, Registry
from tests.images.archive import Archive
from tests.ops.build.debian.samples import package
from tests.ops.build.oci import registries
from tests.ops.build.oci.samples import deb
from tests.ops.build.plugins.workspaces import Workspace, program, workspace

IMAGE = """
debian_packages(name="packages", lock="hello.lock")
oci_rootfs(
    name="hello-layer",
    packages=":packages",
    users={"app": "10001"},
    directories={"/data": "10001:10001:0700"},
    links={"/usr/bin/hi": "hello"},
)
oci_files(name="words", sources=["words"], into="/usr/share/hello")
oci_image(
    name="hello",
    description="Says hello",
    platforms=["linux/amd64", "linux/arm64"],
    reference="team/hello:latest",
    layers=[":hello-layer", ":words"],
    entrypoint=["/usr/bin/hello"],
    env={"LANG": "C.UTF-8"},
    ports=["8000/tcp"],
    user="10001:10001",
    healthcheck=["/usr/bin/hello"],
    output_path="hello.oci.tar",
)
oci_image(
    name="below",
    platforms=["linux/amd64", "linux/arm64"],
    reference="team/below:latest",
    layers=[":words"],
    packaged=False,
    output_path="below.oci.tar",
)
oci_image(
    name="above",
    platforms=["linux/amd64"],
    reference="team/above:latest",
    base=":below",
    layers=[":hello-layer"],
    output_path="above.oci.tar",
)
"""
#: Stands in for the locked interpreter: its loader starts this one.
LOADER = f"""#!/bin/sh
shift 3
unset PYTHONHOME
exec {sys.executable} "$@"
"""
INTERPRETER = 'debian_packages(name="image-python", lock="python.lock")\n'
LOADERS = ("usr/lib64/ld-linux-x86-64.so.2", "usr/lib/ld-linux-aarch64.so.1")
COMMITTED = "2026-01-02T03:04:05+02:00"
IMAGE_KEY = "org.opencontainers.image"
ROLES = ("AUTHOR", "COMMITTER")
REQUIREMENTS = """
python_requirement(name="a", requirements=["cyclonedx-python-lib"], modules=["cyclonedx"])
python_requirement(name="b", requirements=["packageurl-python"], modules=["packageurl"])
python_requirement(name="c", requirements=["zstandard"])
python_requirement(name="d", requirements=["packaging"])
python_requirement(name="e", requirements=["cryptography"])
"""
SITE = """
files(name="pages", sources=["*.md"])
docs_site(name="site", config="site.toml", dependencies=[":pages"], output_path="site")
"""
SITE_SETTINGS = """
[project]
site_name = "Site"
docs_dir = "pages"
site_dir = "site"
"""


@pytest.fixture(scope="module")
def pants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    mirror = tmp_path_factory.mktemp("mirror")
    hello = locked(mirror, "hello", file("usr/bin/hello", b"hello", 0o755))
    loaders = [file(path, LOADER.encode(), 0o755) for path in LOADERS]
    python = locked(mirror, "python", *loaders, file("usr/bin/python3.13", b""))
    with workspace(tmp_path_factory.mktemp("workspace"), mirror) as made:
        made.write("requirements/BUILD", REQUIREMENTS)
        made.write("ops/images/BUILD", IMAGE)
        made.write("ops/images/words", "hello\n")
        made.write("ops/images/hello.lock", hello)
        made.write("3rdparty/debian/BUILD", INTERPRETER)
        made.write("3rdparty/debian/python.lock", python)
        shutil.copy("Makefile", made.root)
        made.write("pants", f'#!/bin/sh\nexec {program()} "$@"\n')
        (made.root / "pants").chmod(0o755)
        commit(made.root)
        yield made


def commit(folder: Path) -> None:
    """Make the folder a Git repository whose commit has the date COMMITTED."""
    who = {f"GIT_{role}_{part}": "it@example.org" for role in ROLES for part in ("NAME", "EMAIL")}
    env = {**os.environ, **who, "GIT_COMMITTER_DATE": COMMITTED}
    for words in (["init", "--quiet"], ["add", "Makefile"], ["commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", *words], cwd=folder, env=env, check=True)


def locked(mirror: Path, name: str, *content: Entry) -> str:
    """The lock of a package for both architectures, which the mirror has."""
    built = deb(mirror / f"{name}.deb", name, *content)
    one = package(name, built.read_bytes())
    (mirror / one.path).parent.mkdir(parents=True, exist_ok=True)
    built.rename(mirror / one.path)
    return render([one, replace(one, architecture="arm64")], f"{name}.toml")


def published(registry: Registry, tag: str) -> dict[str, Any]:
    """The digests of an index and of its first image, and the manifest of that."""
    index = registry.manifest(tag) or b""
    digest = json.loads(index)["manifests"][0]["digest"]
    manifest = json.loads(registry.manifest(digest) or b"")
    return {"index": f"sha256:{sha256(index).hexdigest()}", "image": digest, "manifest": manifest}


def provenance(registry: Registry, digest: str) -> Any:
    """The build definition in the provenance of an image."""
    found = {one["artifactType"]: one["digest"] for one in registry.referrers(digest)}
    manifest = json.loads(registry.manifest(found["application/vnd.in-toto+json"]) or b"")
    statement = json.loads(registry.blob(manifest["layers"][0]["digest"]))
    return statement["predicate"]["buildDefinition"]


def make_publish(pants: Workspace, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "publish", *words],
        cwd=pants.root,
        env=pants.environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_publish_pushes_images_with_their_documents(pants: Workspace, tmp_path: Path) -> None:
    with registries.registry(tmp_path) as host:
        done = make_publish(pants, f"TO={host}/shop", "TAG=1.2.3")
        assert done.returncode == 0, done.stdout + done.stderr
        registry = Registry(Reference.parse(f"{host}/shop/team/hello:1.2.3"))
        index = json.loads(registry.manifest("1.2.3") or b"")
        images = index["manifests"]
        assert [one["platform"]["architecture"] for one in images] == ["amd64", "arm64"]
        for image in images:
            kinds = {one["artifactType"] for one in registry.referrers(image["digest"])}
            assert kinds == {"application/vnd.cyclonedx+json", "application/vnd.in-toto+json"}
        source = provenance(registry, images[0]["digest"])["resolvedDependencies"][0]
    head = ["git", "rev-parse", "HEAD", "HEAD^{tree}"]
    revision, tree = subprocess.run(
        head, cwd=pants.root, check=True, capture_output=True, text=True
    ).stdout.split()
    assert source == {"name": "source", "digest": {"gitCommit": revision, "gitTree": tree}}
    described = {f"{IMAGE_KEY}.title": "hello", f"{IMAGE_KEY}.description": "Says hello"}
    assert index["annotations"] == {
        **described,
        f"{IMAGE_KEY}.version": "1.2.3",
        f"{IMAGE_KEY}.revision": revision,
        f"{IMAGE_KEY}.created": "2026-01-02T01:04:05Z",
    }
    done = pants.run("package", "ops/images:hello")
    assert done.returncode == 0, done.stderr
    assert Archive("hello", pants.root / "dist").config["config"]["Labels"] == described


def test_published_layers_are_compressed_in_the_same_image(
    pants: Workspace, tmp_path: Path
) -> None:
    done = pants.run("package", "ops/images:hello")
    assert done.returncode == 0, done.stderr
    built = Archive("hello", pants.root / "dist")
    found = {}
    with registries.registry(tmp_path) as host:
        registry = Registry(Reference.parse(f"{host}/shop/team/hello:1"))
        for kind in ("", "gzip", "none"):
            words = [f"COMPRESSION={kind}"] if kind else []
            done = make_publish(pants, f"TO={host}/shop", f"TAG=1{kind}", *words)
            assert done.returncode == 0, done.stdout + done.stderr
            found[kind] = published(registry, f"1{kind}")
            # The documents are about what was published.
            assert len(registry.referrers(found[kind]["image"])) == 2
            assert len(registry.referrers(found[kind]["index"])) == 1
    assert found["none"]["image"] == built.digest
    for kind, suffix in (("", "+zstd"), ("gzip", "+gzip"), ("none", "")):
        manifest = found[kind]["manifest"]
        types = {layer["mediaType"] for layer in manifest["layers"]}
        assert types == {f"application/vnd.oci.image.layer.v1.tar{suffix}"}
        assert manifest["config"] == built.manifest["config"]


def test_make_publish_names_missing_settings(pants: Workspace) -> None:
    done = make_publish(pants)
    assert done.returncode != 0
    assert "TO=registry.example.com/team" in done.stderr


def test_base_that_is_not_packaged_is_only_in_the_images_built_on_it(pants: Workspace) -> None:
    done = pants.run("package", "ops/images:below", "ops/images:above")
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (pants.root / "dist").glob("*.oci.tar")}
    assert "above.oci.tar" in written
    assert not {"below.oci.tar", "below-arm64.oci.tar", "below-index.oci.tar"} & written


def test_mirror_urls_are_not_part_of_actions(pants: Workspace, tmp_path: Path) -> None:
    # The script of a sandbox holds everything that the remote cache learns of a process.
    asked = replace(
        pants,
        environ={
            **pants.environ,
            "DEBIAN_MIRROR": f"{pants.environ['DEBIAN_MIRROR']} http://it:secret@127.0.0.1:9/debian",
            "http_proxy": "http://it:secret@127.0.0.1:9",
        },
    )
    options = ("--keep-sandboxes=always", f"--local-execution-root-dir={tmp_path}")
    done = asked.run(
        "--no-pantsd", "--no-local-cache", *options, "package", "ops/images:hello#amd64"
    )
    assert done.returncode == 0, done.stderr
    scripts = [path.read_text() for path in tmp_path.glob("pants-sandbox-*/__run.sh")]
    assert any("fetch" in text for text in scripts)
    assert [text for text in scripts if "secret" in text or "DEBIAN_MIRROR" in text] == []


def test_site_is_packaged(pants: Workspace) -> None:
    with pants.file("site/BUILD", SITE), pants.file("site/site.toml", SITE_SETTINGS):
        with pants.file("site/README.md", "# Home\n"):
            done = pants.run("package", "site:site")
            assert done.returncode == 0, done.stderr
            assert (pants.root / "dist/site/site/index.html").exists()
        with pants.file("site/README.md", "# Home\n\n[gone](gone.md)\n"):
            done = pants.run("package", "site:site")
    assert done.returncode == 1
    assert "site/README.md:3:8" in done.stderr
    assert "page does not exist" in done.stderr

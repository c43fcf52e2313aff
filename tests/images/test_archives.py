"""The contents of the images, read from the shipped archives; no container engine is needed."""

import json
import re
import struct
from pathlib import Path

import pytest

from tests.images.archive import IMAGES, SERVICES, SUFFIXES, Archive

ALL = [f"{image}{suffix}" for image in IMAGES for suffix in SUFFIXES.values()]
SHELLS = re.compile(r"(.*/)?(sh|bash|dash|ash|zsh|ksh|busybox)")
PACKAGE_MANAGERS = re.compile(r"(.*/)?(apt|apt-get|dpkg|dpkg-.*|pip[0-9.]*|ensurepip)")
DEVELOPMENT = re.compile(
    r"app/site-packages/(rich|pygments|markdown_it|websockets|yaml)/|"
    r"usr/lib/python3\.13/(test|pydoc_data|(__pycache__/)?(pdb|pydoc|doctest|turtle)\.)"
)
MACHINES = {"amd64": 62, "arm64": 183}
BASE_LIMIT = 120_000_000
LIMIT = 200_000_000


@pytest.mark.parametrize("name", ALL)
def test_every_blob_matches_its_digest(name: str) -> None:
    assert all(named == content for named, content in Archive(name).blob_digests())


@pytest.mark.parametrize("name", ALL)
def test_bill_of_materials_is_complete(name: str) -> None:
    document = json.loads(Path(f"{name}.cdx.json").read_text())
    packages = [one for one in document["components"] if one["type"] == "library"]
    for one in packages:
        assert one["hashes"], one["purl"]
        assert one["licenses"], one["purl"]
    names = {one["name"] for one in document["components"]}
    if name.removesuffix("-arm64") in SERVICES:
        assert "fastapi_base" in names
        cryptography = next(one for one in packages if one["name"] == "cryptography")
        assert "openssl" in {one["name"] for one in cryptography["components"]}
    # Each package is there because the image or another package requires it.
    required = {one for edge in document["dependencies"] for one in edge.get("dependsOn", ())}
    assert {one["bom-ref"] for one in document["components"]} <= required


@pytest.mark.parametrize("architecture", SUFFIXES)
def test_api_worker_and_migrate_share_their_layers(architecture: str) -> None:
    stacks = [Archive(f"{one}{SUFFIXES[architecture]}").layers for one in SERVICES]
    assert stacks[0] == stacks[1] == stacks[2]


@pytest.mark.parametrize("architecture", SUFFIXES)
def test_postgres_and_redis_share_the_base_of_the_services(architecture: str) -> None:
    suffix = SUFFIXES[architecture]
    api = Archive(f"api{suffix}").layers
    assert Archive(f"postgres{suffix}").layers[:2] == api[:2]
    assert Archive(f"redis{suffix}").layers[:1] == api[:1]


def test_an_edit_changes_only_the_last_layer() -> None:
    before, after = Archive("api").layers, Archive("edited").layers
    assert before[:-1] == after[:-1]
    assert before[-1] != after[-1]


@pytest.mark.parametrize("name", ALL)
def test_executables_match_the_platform_of_the_image(name: str) -> None:
    archive = Archive(name)
    architecture = archive.config["architecture"]
    assert architecture == ("arm64" if name.endswith("-arm64") else "amd64")
    machines = [
        struct.unpack_from("<H", content, 18)[0]
        for _, content in archive.files()
        if content.startswith(b"\x7fELF")
    ]
    assert len(machines) > 10
    assert set(machines) == {MACHINES[architecture]}


def _sections(content: bytes) -> set[bytes]:
    """The names of the sections of a 64-bit ELF file (elf(5))."""
    (table,) = struct.unpack_from("<Q", content, 0x28)
    size, count, names = struct.unpack_from("<3H", content, 0x3A)
    (start,) = struct.unpack_from("<Q", content, table + names * size + 0x18)
    offsets = [struct.unpack_from("<I", content, table + at * size)[0] for at in range(count)]
    return {content[start + at : content.index(b"\0", start + at)] for at in offsets}


# Worker and migrate have the same layers.
@pytest.mark.parametrize("architecture", SUFFIXES)
def test_wheels_have_no_debug_information(architecture: str) -> None:
    found = {
        info.name: _sections(content)
        for info, content in Archive(f"api{SUFFIXES[architecture]}").files()
        if info.name.startswith("app/site-packages/") and content.startswith(b"\x7fELF")
    }
    assert len(found) > 10
    assert [name for name, sections in found.items() if b".debug_info" in sections] == []
    # Kept for profilers and reports of crashes.
    assert any(b".symtab" in sections for sections in found.values())


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith("postgres")])
def test_images_have_no_shell(name: str) -> None:
    assert [path for path in Archive(name).names if SHELLS.fullmatch(path)] == []


@pytest.mark.parametrize("name", ALL)
def test_images_have_no_package_manager_and_no_development_packages(name: str) -> None:
    names = Archive(name).names
    assert [path for path in names if DEVELOPMENT.match(path)] == []
    files = [path for path in names if not path.startswith("app/")]
    assert [path for path in files if PACKAGE_MANAGERS.fullmatch(path)] == ["var/lib/dpkg"]


@pytest.mark.parametrize("name", ALL)
def test_images_have_certificates_and_time_zones(name: str) -> None:
    names = Archive(name).names
    assert "etc/ssl/certs/ca-certificates.crt" in names
    assert {"usr/share/zoneinfo/Europe/Vienna", "usr/share/zoneinfo/Etc/UTC"} <= names


@pytest.mark.parametrize("name", ALL)
def test_no_file_is_setuid_or_writable_by_others(name: str) -> None:
    for info, _ in Archive(name).files():
        if info.isreg():
            assert info.mode & 0o7022 == 0, f"/{info.name} has mode {info.mode:o}"
        assert info.mtime == 0


@pytest.mark.parametrize("name", [n for n in ALL if n.startswith(("api", "worker", "migrate"))])
def test_third_party_packages_and_sources_have_bytecode(name: str) -> None:
    names = Archive(name).names
    for module in ("app/site-packages/fastapi/routing", "app/src/fastapi_base/main"):
        folder, _, stem = module.rpartition("/")
        assert {f"{module}.py", f"{folder}/__pycache__/{stem}.cpython-313.pyc"} <= names


@pytest.mark.parametrize("name", ALL)
def test_containers_run_unprivileged_and_stop_gracefully(name: str) -> None:
    run = Archive(name).config["config"]
    user, _, group = run["User"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert run["StopSignal"] == ("SIGINT" if name.startswith("postgres") else "SIGTERM")
    assert run["Entrypoint"][0].startswith("/usr/bin/")
    if not name.startswith("migrate"):
        assert run["Healthcheck"]["Test"][0] == "CMD"


@pytest.mark.parametrize("name", [n for n in ALL if n.startswith(SERVICES)])
def test_services_default_to_production(name: str) -> None:
    assert "ENVIRONMENT=production" in Archive(name).config["config"]["Env"]


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_data_directory_is_a_volume_owned_by_the_user(name: str) -> None:
    archive = Archive(name)
    (volume,) = archive.config["config"]["Volumes"]
    (folder,) = (info for info, _ in archive.files() if info.name == volume.lstrip("/"))
    assert f"{folder.uid}:{folder.gid}" == archive.config["config"]["User"]
    assert folder.mode == 0o700


@pytest.mark.parametrize("architecture", SUFFIXES)
def test_service_is_small(architecture: str) -> None:
    sizes = {True: 0, False: 0}
    for info, _ in Archive(f"api{SUFFIXES[architecture]}").files():
        sizes[info.name.startswith("app/site-packages/")] += info.size
    assert sizes[False] < BASE_LIMIT
    assert sum(sizes.values()) < LIMIT


@pytest.mark.parametrize("name", ALL)
def test_scanners_find_the_packages(name: str) -> None:
    status = {
        info.name.rsplit("/", 1)[-1]: content
        for info, content in Archive(name).files()
        if info.name.startswith("var/lib/dpkg/status.d/") and info.isreg()
    }
    assert b"\nVersion: " in status["libc6"]
    assert status["tzdata"].startswith(b"Package: tzdata\n")


def test_index_joins_the_images_of_both_architectures() -> None:
    index = Archive("redis-index")
    found = {
        entry["platform"]["architecture"]: entry["digest"] for entry in index.manifest["manifests"]
    }
    assert found == {
        "amd64": Archive("redis").digest,
        "arm64": Archive("redis-arm64").digest,
    }

"""Runs the builder (ops/build/oci), a CPython 3.13 program that gets its step as a JSON file."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Mapping, Tuple

from pants.backend.python.target_types import EntryPoint
from pants.backend.python.util_rules import pex, pex_from_targets
from pants.backend.python.util_rules.pex import VenvPex, VenvPexProcess
from pants.backend.python.util_rules.pex_from_targets import PexFromTargetsRequest
from pants.engine.addresses import Address, Addresses, UnparsedAddressInputs
from pants.engine.env_vars import EnvironmentVars, EnvironmentVarsRequest
from pants.engine.fs import CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.process import Process, ProcessResult
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.option.global_options import NamedCachesDirOption
from pants.option.option_types import (
    BoolOption,
    DictOption,
    EnumOption,
    StrListOption,
    StrOption,
)
from pants.option.subsystem import Subsystem
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

SPEC = "__spec.json"
CACHE = ".cache/debian"
#: The named cache of Pants that CACHE refers to.
NAMED_CACHE = "debian_packages"
#: In that cache: the network settings of this machine, for steps that download.
NETWORK = "network.json"
_NETWORK_VARIABLES = ("DEBIAN_MIRROR", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")


class Compression(Enum):
    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class OciImages(Subsystem):
    options_scope = "oci-images"
    help = "Builds OCI images."

    builder = StrOption(default="ops/build/oci/cli.py", help="Address of the builder's program.")
    module = StrOption(default="ops.build.oci.cli", help="The builder's module.")
    interpreter = StrOption(
        default="3rdparty/debian:image-python",
        help=(
            "The `debian_packages` of the interpreter that compiles the images' Python sources, so "
            "that bytecode does not depend on the patch release of this machine's Python."
        ),
    )
    stripper = StrOption(
        default="3rdparty/debian:elfutils",
        help=(
            "The `debian_packages` of eu-strip, which removes debug information from the wheels of "
            "images. Empty: they keep it."
        ),
    )
    documents = StrOption(
        default="ops/build/oci/documents.py",
        help="Address of the program that writes bills of materials and provenance.",
    )
    documents_module = StrOption(default="ops.build.oci.documents", help="Its module.")
    builder_id = StrOption(
        default="urn:fastapi-base:builder:local",
        help=(
            "The URI in provenance that says who vouches for the machine that builds (SLSA, "
            "`builder.id`). A build service sets its own."
        ),
    )
    source = DictOption[str](
        help=(
            "The source that is built, for provenance: `commit` and `tree` (names of Git's "
            "objects) and `uri`, the repository. `make publish` sets it. Images do not depend on "
            "it."
        )
    )
    publisher = StrOption(
        default="ops/build/oci/publish.py", help="Address of the program that pushes to registries."
    )
    publisher_module = StrOption(default="ops.build.oci.publish", help="Its module.")
    compression = EnumOption(
        default=Compression.ZSTD,
        help=(
            "How published images hold their layers. Archives in dist/ hold them uncompressed. The "
            "image id is the same in all cases, the digest is not. `gzip` is for registries and "
            "engines without zstd."
        ),
    )
    repositories = StrListOption(
        help=(
            "Where `./pants publish` pushes images whose target does not say: HOST or HOST/FOLDER. "
            "Credentials are those of `docker login` or `podman login`, or OCI_CREDENTIALS as "
            "USER:PASSWORD."
        )
    )
    tag = StrOption(
        default=None,
        help="The tag to publish under, such as a version, in place of that of `reference`.",
    )
    annotations = DictOption[str](
        help=(
            "Annotations of what is published, such as `org.opencontainers.image.source`: of the "
            "index of several platforms, else of the image. `tag` is added as the version, and the "
            "target's name and description as title and description. Empty values are left out."
        )
    )
    package_as_published = BoolOption(
        default=False,
        help=(
            "Whether archives in dist/ have the compression and annotations of these options, so "
            "that a rebuild gives the digest that was published."
        ),
    )
    move_tags = BoolOption(
        default=False,
        help="Whether `./pants publish` may move a tag that names another image.",
    )
    signing_key = StrOption(
        default=None,
        help=(
            "A file with the private key (Ed25519 or ECDSA, PEM) that signs each published "
            "document. The password of an encrypted one is in SIGNING_KEY_PASSWORD."
        ),
    )
    sign = StrOption(
        default=None,
        help=(
            "A command that signs, such as `cosign sign --yes`. It is run with HOST/NAME@DIGEST as "
            "its last argument when image and documents are there; the tag is moved only when it "
            "succeeds. It does not run in the checkout: a script of yours is "
            "%(buildroot)s/path/to/script."
        ),
    )
    sign_env_vars = StrListOption(
        help="Names of environment variables that the command that signs needs, besides PATH, HOME."
    )


class Debian(Subsystem):
    options_scope = "debian"
    help = "Where Debian packages come from."

    mirrors = StrListOption(
        help=(
            "Addresses of mirrors (the folders that hold pool/), tried in order: for instance the "
            "machine's mirror, then a snapshot that keeps what the mirror has dropped. Without "
            "them DEBIAN_MIRROR, else the machine's apt sources."
        )
    )


@dataclass(frozen=True)
class ProgramRequest:
    """A program of the repository, by its address and module."""

    address: str
    module: str


@dataclass(frozen=True)
class Program:
    pex: VenvPex


@dataclass(frozen=True)
class Step:
    """A run of the builder: a command of ops/build/oci/cli.py, its spec as JSON, its outputs."""

    command: str
    spec: str
    inputs: Digest
    description: str
    files: Tuple[str, ...] = ()
    folders: Tuple[str, ...] = ()
    #: Large inputs that many steps share, each with the folder in which it appears: they are
    #: materialised once, not for each step.
    shared: Tuple[Tuple[str, Digest], ...] = ()

    @property
    def fetches(self) -> bool:
        return self.command == "fetch"


def as_json(address: Address, **spec: Any) -> str:
    """A spec, with the target that messages name."""
    return json.dumps({**spec, "origin": str(address)}, sort_keys=True)


@dataclass(frozen=True)
class StepResult:
    """The files that the builder wrote, and the line of JSON that it reported."""

    digest: Digest
    report: str


@rule
async def set_up_program(request: ProgramRequest) -> Program:
    addresses = await Get(
        Addresses,
        UnparsedAddressInputs(
            [request.address],
            owning_address=None,
            description_of_origin="the options of [oci-images]",
        ),
    )
    tool = await Get(
        VenvPex,
        PexFromTargetsRequest(
            addresses,
            output_filename=f"{request.module}.pex",
            internal_only=True,
            main=EntryPoint(request.module),
        ),
    )
    return Program(tool)


def leave_network_settings(folder: Path, settings: Mapping[str, str]) -> None:
    """Write this machine's network settings to where steps that download read them.

    They are not in the environment of the process, which is part of its action: the remote cache
    and all its readers would get it, with the passwords in URLs of mirrors and proxies. Besides, a
    package verified by hash is the same from any source, so a change of settings is no reason to
    download again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=str(folder), prefix=".network-")
    with os.fdopen(descriptor, "w") as file:
        json.dump(dict(settings), file)
    Path(name).replace(folder / NETWORK)


@rule(desc="Run the OCI builder", level=LogLevel.DEBUG)
async def run_step(
    step: Step, options: OciImages, debian: Debian, caches: NamedCachesDirOption
) -> StepResult:
    builder, spec_file, env = await MultiGet(
        Get(Program, ProgramRequest(options.builder, options.module)),
        Get(Digest, CreateDigest([FileContent(SPEC, step.spec.encode())])),
        Get(
            EnvironmentVars,
            EnvironmentVarsRequest(_NETWORK_VARIABLES if step.fetches else ()),
        ),
    )
    inputs = await Get(Digest, MergeDigests((spec_file, step.inputs)))
    if step.fetches:
        online = dict(env)
        if debian.mirrors:
            online["DEBIAN_MIRROR"] = " ".join(debian.mirrors)
        leave_network_settings(Path(caches.val, NAMED_CACHE), online)
    process = await Get(
        Process,
        VenvPexProcess(
            builder.pex,
            argv=(step.command, SPEC),
            input_digest=inputs,
            append_only_caches={NAMED_CACHE: CACHE} if step.fetches else None,
            output_files=step.files,
            output_directories=step.folders,
            description=step.description,
            level=LogLevel.INFO,
        ),
    )
    shared = {**process.immutable_input_digests, **dict(step.shared)}
    result = await Get(
        ProcessResult, Process, replace(process, immutable_input_digests=FrozenDict(shared))
    )
    return StepResult(result.output_digest, result.stdout.decode().strip())


def rules():
    return [*collect_rules(), *pex.rules(), *pex_from_targets.rules()]

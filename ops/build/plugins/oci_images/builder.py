"""Runs the builder (ops/oci), a program of CPython 3.13 that is told its step by a JSON file."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Tuple

from pants.backend.python.target_types import EntryPoint
from pants.backend.python.util_rules import pex, pex_from_targets
from pants.backend.python.util_rules.pex import VenvPex, VenvPexProcess
from pants.backend.python.util_rules.pex_from_targets import PexFromTargetsRequest
from pants.engine.addresses import Address, Addresses, UnparsedAddressInputs
from pants.engine.env_vars import EnvironmentVars, EnvironmentVarsRequest
from pants.engine.fs import CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.process import Process, ProcessResult
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.option.option_types import StrListOption, StrOption
from pants.option.subsystem import Subsystem
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

SPEC = "__spec.json"
CACHE = ".cache/debian"


class OciImages(Subsystem):
    options_scope = "oci-images"
    help = "Builds OCI images."

    builder = StrOption(default="ops/oci/cli.py", help="Address of the builder's program.")
    module = StrOption(default="ops.oci.cli", help="The builder's module.")
    interpreter = StrOption(
        default="3rdparty/debian:image-python",
        help=(
            "The `debian_packages` of the interpreter that compiles the images' Python sources, so "
            "that bytecode does not depend on the patch release of this machine's Python."
        ),
    )
    documents = StrOption(
        default="ops/oci/documents.py",
        help="Address of the program that writes bills of materials and provenance.",
    )
    documents_module = StrOption(default="ops.oci.documents", help="Its module.")
    builder_id = StrOption(
        default="urn:fastapi-base:builder:local",
        help=(
            "The URI in provenance that says who vouches for the machine that builds (SLSA, "
            "`builder.id`). A build service sets its own."
        ),
    )
    publisher = StrOption(
        default="ops/oci/publish.py", help="Address of the program that pushes to registries."
    )
    publisher_module = StrOption(default="ops.oci.publish", help="Its module.")
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
    """One run of the builder: a command of ops/oci/cli.py, its spec as JSON, and what it writes."""

    command: str
    spec: str
    inputs: Digest
    description: str
    files: Tuple[str, ...] = ()
    folders: Tuple[str, ...] = ()
    #: Large inputs that many steps share, each with the folder that it is seen in: they are laid
    #: out once, not for each step.
    shared: Tuple[Tuple[str, Digest], ...] = ()

    @property
    def fetches(self) -> bool:
        return self.command == "fetch"


def as_json(address: Address, **spec: Any) -> str:
    """A spec, with the target that messages are to name."""
    return json.dumps({**spec, "origin": str(address)}, sort_keys=True)


@dataclass(frozen=True)
class StepResult:
    """What the builder wrote, and the line of JSON that it reported."""

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


@rule(desc="Run the OCI builder", level=LogLevel.DEBUG)
async def run_step(step: Step, options: OciImages, debian: Debian) -> StepResult:
    builder, spec_file, env = await MultiGet(
        Get(Program, ProgramRequest(options.builder, options.module)),
        Get(Digest, CreateDigest([FileContent(SPEC, step.spec.encode())])),
        Get(
            EnvironmentVars,
            EnvironmentVarsRequest(
                ("DEBIAN_MIRROR", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")
            ),
        ),
    )
    inputs = await Get(Digest, MergeDigests((spec_file, step.inputs)))
    online = dict(env)
    if debian.mirrors:
        online["DEBIAN_MIRROR"] = " ".join(debian.mirrors)
    process = await Get(
        Process,
        VenvPexProcess(
            builder.pex,
            argv=(step.command, SPEC),
            input_digest=inputs,
            # Only who fetches may depend on the machine's settings.
            extra_env=FrozenDict(online) if step.fetches else None,
            append_only_caches={"debian_packages": CACHE} if step.fetches else None,
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

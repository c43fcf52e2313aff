"""The target `docs_site`: `./pants package` builds a site in dist/ from its dependencies."""

from __future__ import annotations

from dataclasses import dataclass

from pants.backend.python.subsystems.setup import PythonSetup
from pants.backend.python.target_types import ConsoleScript
from pants.backend.python.util_rules import pex
from pants.backend.python.util_rules.interpreter_constraints import InterpreterConstraints
from pants.backend.python.util_rules.pex import PexRequest, VenvPex, VenvPexProcess
from pants.backend.python.util_rules.pex_requirements import PexRequirements, Resolve
from pants.core.goals.package import (
    BuiltPackage,
    BuiltPackageArtifact,
    OutputPathField,
    PackageFieldSet,
)
from pants.core.target_types import FileSourceField
from pants.engine.fs import AddPrefix, Digest, MergeDigests, RemovePrefix
from pants.engine.process import ProcessResult
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    Dependencies,
    DependenciesRequest,
    HydratedSources,
    HydrateSourcesRequest,
    SingleSourceField,
    SourcesField,
    Target,
    Targets,
)
from pants.engine.unions import UnionRule
from pants.option.option_types import StrOption
from pants.option.subsystem import Subsystem

#: `docs_dir` and `site_dir` of the configuration.
PAGES = "pages"
SITE = "site"


class Zensical(Subsystem):
    options_scope = "zensical"
    help = "Zensical, which makes the documentation a site."

    resolve = StrOption(default="docs", help="The resolve that holds it.")


class DocsSiteConfigField(SingleSourceField):
    alias = "config"
    required = True
    help = (
        "Zensical's configuration. Its `docs_dir` is `pages` and its `site_dir` is `site`; pages "
        "are in the former as they are in the repository."
    )


class DocsSiteTarget(Target):
    alias = "docs_site"
    core_fields = (*COMMON_TARGET_FIELDS, Dependencies, DocsSiteConfigField, OutputPathField)
    help = "A site made of the files that it depends on; a broken link between them is an error."


@dataclass(frozen=True)
class DocsSiteFieldSet(PackageFieldSet):
    required_fields = (DocsSiteConfigField,)

    config: DocsSiteConfigField
    dependencies: Dependencies
    output_path: OutputPathField


@rule(desc="Build the documentation's site")
async def package_site(
    field_set: DocsSiteFieldSet, zensical: Zensical, python: PythonSetup
) -> BuiltPackage:
    tool, config, files = await MultiGet(
        Get(
            VenvPex,
            PexRequest(
                output_filename="zensical.pex",
                internal_only=True,
                requirements=PexRequirements(
                    from_superset=Resolve(zensical.resolve, use_entire_lockfile=True)
                ),
                interpreter_constraints=InterpreterConstraints(python.interpreter_constraints),
                main=ConsoleScript("zensical"),
            ),
        ),
        Get(HydratedSources, HydrateSourcesRequest(field_set.config)),
        Get(Targets, DependenciesRequest(field_set.dependencies)),
    )
    sources = await MultiGet(
        Get(
            HydratedSources,
            HydrateSourcesRequest(
                target.get(SourcesField),
                for_sources_types=(FileSourceField,),
                enable_codegen=True,
            ),
        )
        for target in files
    )
    merged = await Get(Digest, MergeDigests(one.snapshot.digest for one in sources))
    pages = await Get(Digest, AddPrefix(merged, PAGES))
    (config_path,) = config.snapshot.files
    folder, _, name = config_path.rpartition("/")
    # Zensical writes only next to its configuration.
    beside = await Get(Digest, RemovePrefix(config.snapshot.digest, folder))
    inputs = await Get(Digest, MergeDigests((beside, pages)))
    result = await Get(
        ProcessResult,
        VenvPexProcess(
            tool,
            argv=("build", "--strict", "--config-file", name),
            extra_env={"NO_COLOR": "1"},
            input_digest=inputs,
            output_directories=(SITE,),
            description=f"Build the site of {field_set.address}",
        ),
    )
    bare = await Get(Digest, RemovePrefix(result.output_digest, SITE))
    path = field_set.output_path.value_or_default(file_ending=None)
    return BuiltPackage(
        await Get(Digest, AddPrefix(bare, path)),
        (BuiltPackageArtifact(path, (f"Open {path}/index.html.",)),),
    )


def target_types():
    return [DocsSiteTarget]


def rules():
    return [*collect_rules(), *pex.rules(), UnionRule(PackageFieldSet, DocsSiteFieldSet)]

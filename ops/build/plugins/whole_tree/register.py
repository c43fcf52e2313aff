"""The target `whole_tree`: every file of the repository, for tests that check all of them.

A `files` target over everything would own every file, and `tailor` would no longer report files
that no BUILD file owns. This target owns only the file that it names, and passes on the rest.
"""

from __future__ import annotations

from pants.core.target_types import FileSourceField
from pants.engine.fs import PathGlobs, Snapshot
from pants.engine.rules import Get, collect_rules, rule
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    Dependencies,
    GeneratedSources,
    GenerateSourcesRequest,
    SingleSourceField,
    Target,
)
from pants.engine.unions import UnionRule


class WholeTreeSourceField(SingleSourceField):
    help = "A file of the top folder; it is there in any case."


class WholeTreeTarget(Target):
    alias = "whole_tree"
    core_fields = (*COMMON_TARGET_FIELDS, Dependencies, WholeTreeSourceField)
    help = "Every file of the repository that Pants does not ignore."


class GenerateWholeTreeRequest(GenerateSourcesRequest):
    input = WholeTreeSourceField
    output = FileSourceField


@rule
async def whole_tree(_: GenerateWholeTreeRequest) -> GeneratedSources:
    # Pytest gets it in the form that Pants uses when it measures coverage.
    return GeneratedSources(await Get(Snapshot, PathGlobs(["**/*", "!pyproject.toml"])))


def target_types():
    return [WholeTreeTarget]


def rules():
    return [*collect_rules(), UnionRule(GenerateSourcesRequest, GenerateWholeTreeRequest)]

"""The visibility rules of BUILD files as a linter.

Pants 2.17 applies `__dependencies_rules__` and `__dependents_rules__` when it resolves
dependencies, which linters of single files never do. This linter resolves them, so that a forbidden
import fails `lint` and not only the first test or package that uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pants.backend.python.target_types import PythonSourceField
from pants.core.goals.lint import LintResult, LintTargetsRequest
from pants.core.util_rules.partitions import PartitionerType
from pants.engine.addresses import Addresses
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import Dependencies, DependenciesRequest, FieldSet
from pants.option.option_types import SkipOption
from pants.option.subsystem import Subsystem
from pants.util.logging import LogLevel
from pants.util.strutil import pluralize


class Layers(Subsystem):
    options_scope = "layers"
    name = "layers"
    help = "Checks imports against the visibility rules of BUILD files."

    skip = SkipOption("lint")


@dataclass(frozen=True)
class LayersFieldSet(FieldSet):
    required_fields = (PythonSourceField, Dependencies)

    source: PythonSourceField
    dependencies: Dependencies


class LayersRequest(LintTargetsRequest):
    field_set_type = LayersFieldSet
    tool_subsystem = Layers
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION


@rule(desc="Check imports against the layers", level=LogLevel.DEBUG)
async def check_layers(request: LayersRequest.Batch[LayersFieldSet, Any]) -> LintResult:
    # A violation is an error of the rule that resolves the dependencies; its text names both files.
    await MultiGet(
        Get(Addresses, DependenciesRequest(field_set.dependencies))
        for field_set in request.elements
    )
    checked = pluralize(len(request.elements), "file")
    return LintResult(
        exit_code=0,
        stdout=f"The imports of {checked} keep to the rules of their BUILD files.\n",
        stderr="",
        linter_name=request.tool_name,
        partition_description=request.partition_metadata.description
        if request.partition_metadata
        else None,
    )


def rules():
    return [*collect_rules(), *LayersRequest.rules()]

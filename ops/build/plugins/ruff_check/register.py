"""Ruff for the goals lint, fix and fmt: its subcommands `check`, `check --fix-only` and `format`.

The backend of Pants 2.17 calls plain `ruff FILES`, which Ruff no longer supports. The options of
[ruff] and the field `skip_ruff` are used as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pants.backend.python.lint.ruff import skip_field, subsystem
from pants.backend.python.lint.ruff.subsystem import Ruff, RuffFieldSet
from pants.backend.python.util_rules import pex
from pants.backend.python.util_rules.pex import PexRequest, VenvPex, VenvPexProcess
from pants.core.goals.fix import FixResult, FixTargetsRequest
from pants.core.goals.fmt import FmtResult, FmtTargetsRequest
from pants.core.goals.lint import LintResult, LintTargetsRequest
from pants.core.util_rules.config_files import ConfigFiles, ConfigFilesRequest
from pants.core.util_rules.partitions import PartitionerType
from pants.core.util_rules.source_files import SourceFiles, SourceFilesRequest
from pants.engine.fs import Digest, MergeDigests, Snapshot
from pants.engine.process import FallibleProcessResult, ProcessExecutionFailure
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.util.logging import LogLevel
from pants.util.meta import classproperty
from pants.util.strutil import pluralize

FINDINGS_LEFT = 1


class RuffFix(FixTargetsRequest):
    field_set_type = RuffFieldSet
    tool_subsystem = Ruff
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION

    @classproperty
    def tool_name(cls) -> str:
        return "ruff check --fix"


class RuffFormat(FmtTargetsRequest):
    field_set_type = RuffFieldSet
    tool_subsystem = Ruff
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION

    @classproperty
    def tool_name(cls) -> str:
        return "ruff format"


class RuffCheck(LintTargetsRequest):
    field_set_type = RuffFieldSet
    tool_subsystem = Ruff
    partitioner_type = PartitionerType.DEFAULT_SINGLE_PARTITION

    @classproperty
    def tool_name(cls) -> str:
        return "ruff check"


@dataclass(frozen=True)
class RuffRun:
    """One call of Ruff: a subcommand with its flags, over files."""

    command: tuple[str, ...]
    snapshot: Snapshot


@rule(level=LogLevel.DEBUG)
async def run_ruff(run: RuffRun, ruff: Ruff) -> FallibleProcessResult:
    tool, config = await MultiGet(
        Get(VenvPex, PexRequest, ruff.to_pex_request()),
        Get(ConfigFiles, ConfigFilesRequest, ruff.config_request(run.snapshot.dirs)),
    )
    inputs = await Get(Digest, MergeDigests((run.snapshot.digest, config.snapshot.digest)))
    return await Get(
        FallibleProcessResult,
        VenvPexProcess(
            tool,
            argv=(
                *run.command,
                "--no-cache",
                "--force-exclude",
                *((f"--config={ruff.config}",) if ruff.config else ()),
                *ruff.args,
                *run.snapshot.files,
            ),
            input_digest=inputs,
            output_files=run.snapshot.files,
            description=(
                f"Run ruff {' '.join(run.command)} on {pluralize(len(run.snapshot.files), 'file')}"
            ),
            level=LogLevel.DEBUG,
        ),
    )


def refuse_tool_error(result: FallibleProcessResult, what: str) -> None:
    """Raise if Ruff itself failed: fix and fmt compare only files, and would miss an error."""
    if result.exit_code not in (0, FINDINGS_LEFT):
        raise ProcessExecutionFailure(
            result.exit_code, result.stdout, result.stderr, what, keep_sandboxes="never"
        )


@rule(desc="Fix with ruff check", level=LogLevel.DEBUG)
async def ruff_fix(request: RuffFix.Batch) -> FixResult:
    result = await Get(FallibleProcessResult, RuffRun(("check", "--fix-only"), request.snapshot))
    refuse_tool_error(result, "ruff check --fix-only")
    return await FixResult.create(request, result, strip_chroot_path=True)


@rule(desc="Format with ruff format", level=LogLevel.DEBUG)
async def ruff_format(request: RuffFormat.Batch) -> FmtResult:
    result = await Get(FallibleProcessResult, RuffRun(("format",), request.snapshot))
    refuse_tool_error(result, "ruff format")
    return await FmtResult.create(request, result, strip_chroot_path=True)


@rule(desc="Lint with ruff check", level=LogLevel.DEBUG)
async def ruff_check(request: RuffCheck.Batch[RuffFieldSet, Any]) -> LintResult:
    sources = await Get(
        SourceFiles, SourceFilesRequest(field_set.source for field_set in request.elements)
    )
    result = await Get(FallibleProcessResult, RuffRun(("check",), sources.snapshot))
    return LintResult.create(request, result, strip_chroot_path=True)


def rules():
    return [
        *collect_rules(),
        *skip_field.rules(),
        *subsystem.rules(),
        *RuffFix.rules(),
        *RuffFormat.rules(),
        *RuffCheck.rules(),
        *pex.rules(),
    ]

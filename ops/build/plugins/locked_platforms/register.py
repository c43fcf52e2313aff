"""Hashes for PEX files of other platforms.

For a `pex_binary` with `complete_platforms`, Pants 2.17 does not install the resolve's lock: it
resolves again, constrained to the lock's versions but not to its hashes. The reason is packages
that exist only as source, which cannot be built for another machine. The resolves here allow only
wheels ([python] resolves_to_only_binary), so the lock is installed for each platform like any
other, and every wheel is verified.

This backend replaces one rule of `pants.backend.python`, so pants.toml lists it before that one.
"""

from __future__ import annotations

from pants.backend.python.subsystems.setup import PythonSetup
from pants.backend.python.target_types import PexLayout
from pants.backend.python.util_rules import pex_from_targets
from pants.backend.python.util_rules.interpreter_constraints import InterpreterConstraints
from pants.backend.python.util_rules.pex import OptionalPexRequest, PexRequest
from pants.backend.python.util_rules.pex_from_targets import (
    ChosenPythonResolve,
    ChosenPythonResolveRequest,
    InterpreterConstraintsRequest,
    _RepositoryPexRequest,
)
from pants.backend.python.util_rules.pex_requirements import EntireLockfile
from pants.engine.rules import Get, MultiGet, rule
from pants.util.strutil import path_safe


@rule
async def get_locked_repository_pex(
    request: _RepositoryPexRequest, python_setup: PythonSetup
) -> OptionalPexRequest:
    resolve, constraints = await MultiGet(
        Get(ChosenPythonResolve, ChosenPythonResolveRequest(request.addresses)),
        Get(
            InterpreterConstraints,
            InterpreterConstraintsRequest,
            request.to_interpreter_constraints_request(),
        ),
    )
    platforms = " for other platforms" if request.complete_platforms else ""
    return OptionalPexRequest(
        PexRequest(
            description=f"Installing {resolve.lockfile.url}{platforms}",
            output_filename=f"{path_safe(resolve.name)}_lockfile.pex",
            internal_only=request.internal_only,
            requirements=EntireLockfile(resolve.lockfile),
            interpreter_constraints=constraints,
            layout=PexLayout.PACKED,
            platforms=request.platforms,
            complete_platforms=request.complete_platforms,
            additional_args=request.additional_lockfile_args,
        )
    )


def rules():
    if pex_from_targets.get_repository_pex is not get_locked_repository_pex:
        pex_from_targets.get_repository_pex = get_locked_repository_pex
    return []

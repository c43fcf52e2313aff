"""The checks of `make chaos`: faults, what is counted under each, and the resulting table."""

from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ops.measure.chaos.stack import Stack


class Counted(Protocol):
    """The counts under one fault."""

    @property
    def well(self) -> bool:
        """Whether the guarantee held."""


@dataclass(frozen=True)
class Check[Outcome: Counted]:
    """One guarantee. `under` takes a stack, a fault, the minimum work, and the number of faults."""

    faults: Collection[str]
    stack: Callable[[Path], Stack]
    under: Callable[[Stack, str, int, int], Coroutine[Any, Any, Outcome]]
    table: Callable[[list[Outcome]], str]

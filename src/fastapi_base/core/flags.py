"""Feature flags: what there are, and how one is decided. No I/O.

A flag has a default in code, which FEATURE_FLAGS may replace for a deployment, and at run time an
override in the database. The first that applies to the caller counts, from the last to the first.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

type FlagValue = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Flag[T: FlagValue]:
    """A flag. Its values have the type of its default."""

    name: str
    default: T
    description: str

    def fits(self, value: object) -> bool:
        """Whether this can be a value of the flag; a bool is no number here."""
        return type(value) is type(self.default)

    def parse(self, text: str) -> T:
        """A value out of a setting. Raises ValueError saying what would be right."""
        if isinstance(self.default, bool):
            if text.lower() not in {"true", "false"}:
                raise ValueError(f"{self.name} must be true or false")
            return type(self.default)(text.lower() == "true")
        try:
            return type(self.default)(text)
        except ValueError:
            raise ValueError(f"{self.name} must be a {type(self.default).__name__}") from None


READ_ONLY = Flag(
    "read-only", False, "Refuse every request that would change something; workers remove nothing."
)
WORD_COUNT = Flag("word-count", True, "Let this account have words counted.")

FLAGS: Mapping[str, Flag[bool] | Flag[int] | Flag[float] | Flag[str]] = {
    flag.name: flag for flag in (READ_ONLY, WORD_COUNT)
}


@dataclass(frozen=True, slots=True)
class Override:
    """Another value, for everybody, for some of all accounts, or for certain accounts."""

    value: FlagValue
    percentage: float = 100
    user_ids: frozenset[uuid.UUID] = frozenset()

    def applies(self, name: str, user_id: uuid.UUID | None) -> bool:
        """Whether it is meant for this caller; who has no account counts for all accounts alone."""
        if self.percentage >= 100 or user_id in self.user_ids:
            return True
        return user_id is not None and share(name, user_id) < self.percentage


def share(name: str, user_id: uuid.UUID) -> float:
    """Where an account stands in the rollout of a flag, from 0 up to 100.

    It depends on both, so that a flag's first accounts are not those of every other flag, and it
    never changes: who is in at 10 % is in at 20 %.
    """
    digest = hashlib.sha256(name.encode() + b"\0" + user_id.bytes).digest()
    return int.from_bytes(digest[:4]) / 2**32 * 100


def parse_defaults(given: tuple[str, ...]) -> dict[str, FlagValue]:
    """The defaults that a deployment sets, from `name=value`. Raises ValueError."""
    found: dict[str, FlagValue] = {}
    for item in given:
        name, separator, value = item.partition("=")
        flag = FLAGS.get(name.strip())
        if flag is None or not separator:
            raise ValueError(f"{item!r} must be name=value; names are {', '.join(sorted(FLAGS))}")
        found[flag.name] = flag.parse(value.strip())
    return found

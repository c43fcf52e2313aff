"""Feature flags: their definitions and how their values are determined. No I/O.

Each flag has a default in code. FEATURE_FLAGS replaces it for a deployment, and an override in the
database replaces it at run time. An override that applies to the caller takes precedence over
FEATURE_FLAGS, and FEATURE_FLAGS over the default in code.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

type FlagValue = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Flag[T: FlagValue]:
    """A feature flag. Its values have the type of its default."""

    name: str
    default: T
    description: str

    def fits(self, value: object) -> bool:
        """Whether `value` has the type of the flag; a bool is not accepted as a number."""
        return type(value) is type(self.default)

    def parse(self, text: str) -> T:
        """Parse a value from a setting. Raises ValueError naming the expected form."""
        if isinstance(self.default, bool):
            if text.lower() not in {"true", "false"}:
                raise ValueError(f"{self.name} must be true or false")
            return type(self.default)(text.lower() == "true")
        try:
            return type(self.default)(text)
        except ValueError:
            raise ValueError(f"{self.name} must be a {type(self.default).__name__}") from None


READ_ONLY = Flag(
    "read-only", False, "Reject all requests that change data; workers delete nothing."
)
WORD_COUNT = Flag("word-count", True, "Enable word counts for this account.")

FLAGS: Mapping[str, Flag[bool] | Flag[int] | Flag[float] | Flag[str]] = {
    flag.name: flag for flag in (READ_ONLY, WORD_COUNT)
}


@dataclass(frozen=True, slots=True)
class Override:
    """A value that replaces the default for all accounts, a share of them, or specific ones."""

    value: FlagValue
    percentage: float = 100
    user_ids: frozenset[uuid.UUID] = frozenset()

    def applies(self, name: str, user_id: uuid.UUID | None) -> bool:
        """Whether the override applies to the caller.

        A caller without an account gets it only if it applies to all accounts.
        """
        if self.percentage >= 100 or user_id in self.user_ids:
            return True
        return user_id is not None and share(name, user_id) < self.percentage


def share(name: str, user_id: uuid.UUID) -> float:
    """The position of an account in the rollout of a flag: 0 or more, below 100.

    It depends on the flag and the account, so different flags start with different accounts. It is
    stable: an account that is included at 10 % is also included at 20 %.
    """
    digest = hashlib.sha256(name.encode() + b"\0" + user_id.bytes).digest()
    return int.from_bytes(digest[:4]) / 2**32 * 100


def parse_defaults(given: tuple[str, ...]) -> dict[str, FlagValue]:
    """Parse the defaults that a deployment sets, as `name=value`. Raises ValueError."""
    found: dict[str, FlagValue] = {}
    for item in given:
        name, separator, value = item.partition("=")
        flag = FLAGS.get(name.strip())
        if flag is None or not separator:
            raise ValueError(
                f"{item!r} must be name=value; valid names: {', '.join(sorted(FLAGS))}"
            )
        found[flag.name] = flag.parse(value.strip())
    return found

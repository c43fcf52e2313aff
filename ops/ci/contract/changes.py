"""What a new description changes for callers of the old one."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ops.ci.contract import comparable, operations, redocly
from ops.ci.contract.comparable import Pair
from ops.ci.contract.description import PROBLEMS, Json

#: In the order of a report. Only breaking changes need a declaration.
LEVELS = ("breaking", "deprecated", "added", "changed")
_IMPACTS = {"major": "breaking", "minor": "added", "patch": "changed"}
#: The member beside `deprecated` with the day from which an operation or a member can be missing.
SUNSET = "x-sunset"
_DEPRECATION = ("deprecated", SUNSET, "x-deprecated-since")
_REMOVALS = ("parameter-removed", "property-removed")


@dataclass(frozen=True)
class Change:
    """A change at one place. ``operations`` are those that it affects, such as `GET /items`."""

    level: str
    rule: str
    place: str
    why: str
    operations: tuple[str, ...]

    @property
    def id(self) -> str:
        """What a declaration names: the rule, the place and the reason."""
        return f"{self.rule} at {self.place}: {self.why}"

    @property
    def line(self) -> str:
        """The change on one line."""
        first, *others = self.operations or ("no operation",)
        more = f" and {len(others)} more" if others else ""
        return f"{self.level:10}  {first}{more}: {self.id}"


def between(old: Json, new: Json, today: datetime.date) -> list[Change]:
    """All changes, the breaking ones first. Raises node.ToolError.

    Redocly rates the changes of operations that stay. Added here: what was deprecated can go after
    its sunset, an error status that is no longer answered breaks nobody, and rules of our own.
    """
    pair = comparable.pair(old, new)
    rater = _Rater(pair, today)
    found: dict[tuple[str, str], Change] = {}
    for change in (
        *_operations(pair, old, today),
        *(change for one in redocly.differences(pair.old, pair.new) for change in rater(one)),
        *_closed(old, new),
        *_problems(old, new),
    ):
        found.setdefault((change.level, change.id), change)
    return sorted(found.values(), key=lambda one: (LEVELS.index(one.level), one.place, one.rule))


def _operations(pair: Pair, old: Json, today: datetime.date) -> Iterator[Change]:
    for name in pair.removed:
        gone = operations.sunset(dict(operations.each(old))[name], SUNSET)
        if gone <= today:
            yield Change("changed", "operation-removed", name, f"Its sunset was {gone}.", (name,))
        else:
            yield Change("breaking", "operation-removed", name, "It was removed.", (name,))
    for name in pair.added:
        yield Change("added", "operation-added", name, "It is new.", (name,))
    for before, after in pair.renamed:
        why = f"Its parameters have other names than in {before}."
        yield Change("changed", "path-parameter-renamed", after, why, (after,))


class _Rater:
    """Turns the differences that Redocly reports into changes."""

    def __init__(self, pair: Pair, today: datetime.date) -> None:
        self._documents = {"base": pair.old, "revision": pair.new}
        self._users = {side: operations.users(one) for side, one in self._documents.items()}
        self._sent = operations.sent(pair.old)
        self._today = today

    def __call__(self, difference: dict[str, Any]) -> Iterator[Change]:
        """The changes that one difference makes."""
        side = "base" if difference["kind"] == "removed" else "revision"
        member = difference.get("property", "")
        pointer: str = difference[side]["pointer"]
        pointer = pointer.removesuffix(f"/{member}") if member else pointer
        if not pointer.startswith(("#/paths/", "#/components/")):
            return
        document = self._documents[side]
        place = operations.place(pointer, document)
        used = self._users[side]
        affected = tuple(operations.affected(pointer, difference["path"], document, used))
        if member in _DEPRECATION:
            yield _deprecation(difference, place, affected)
            return
        node = operations.node(pointer, self._documents["base"])
        for level, rule, why in self._verdicts(difference, place):
            gone = operations.sunset(node, SUNSET) if rule in _REMOVALS else datetime.date.max
            if gone <= self._today:
                level, why = "changed", f"{why} Its sunset was {gone}."
            yield Change(level, rule, place, why, affected)

    def _verdicts(self, difference: dict[str, Any], place: str) -> list[tuple[str, str, str]]:
        """The level, rule and reason of each verdict; some are not Redocly's."""
        noun = operations.noun(difference["typeName"])
        if difference["verdicts"]:
            found = [
                (_IMPACTS[v["impact"]], v["ruleId"], v["message"]) for v in difference["verdicts"]
            ]
            error = place.split()[-1] >= "400"
            return [
                ("changed" if rule == "response-removed" and error else level, rule, why)
                for level, rule, why in found
            ]
        if (
            difference["kind"] == "removed"
            and place.partition(".")[0] in self._sent
            and "/properties/" in difference["path"]
            and noun == "schema"
        ):
            return [("breaking", "property-removed", "It is ignored when it is sent.")]
        level = _IMPACTS[difference["impact"]]
        return [(level, f"{noun}-{difference['kind']}", _said(difference, noun))]


def _said(difference: dict[str, Any], noun: str) -> str:
    if member := difference.get("property"):
        before, after = (difference.get(side, {}) for side in ("base", "revision"))
        was, now = (_short(one.get("value")) for one in (before, after))
        return f"`{member}` is {now} instead of {was}."
    return f"The {noun} was {difference['kind']}."


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _deprecation(difference: dict[str, Any], place: str, affected: tuple[str, ...]) -> Change:
    was = difference.get("base", {}).get("value")
    now = difference.get("revision", {}).get("value")
    if difference["property"] == "deprecated":
        why = "It is deprecated." if now else "It is no longer deprecated."
        return Change("deprecated" if now else "changed", "deprecated", place, why, affected)
    if difference["property"] != SUNSET or was is None or (now is not None and now >= was):
        why = f"`{difference['property']}` is {_short(now)} instead of {_short(was)}."
        return Change("deprecated", "deprecation-changed", place, why, affected)
    why = f"The sunset of {was} moved to {now}." if now else f"The sunset of {was} was withdrawn."
    level = "breaking" if now else "changed"
    return Change(level, "sunset-moved", place, why, affected)


def _closed(old: Json, new: Json) -> Iterator[Change]:
    """Objects in requests that refuse members which they ignored before."""
    sent, users = operations.sent(new), operations.users(new)
    for name, schema in new["components"]["schemas"].items():
        before = old["components"]["schemas"].get(name)
        if before is None or name not in sent:
            continue
        if schema.get("additionalProperties") is False and before.get("additionalProperties") in (
            None,
            True,
        ):
            why = "Other members, which were ignored, are refused."
            yield Change("breaking", "object-closed", name, why, tuple(users[name]))


def _problems(old: Json, new: Json) -> Iterator[Change]:
    """Types of problem documents that no operation answers any more: clients compare them."""
    after = set(operations.problems(new, PROBLEMS))
    for code, answered in operations.problems(old, PROBLEMS).items():
        if code not in after:
            why = f"No operation answers a problem of the type `{code}` any more."
            yield Change("breaking", "problem-removed", code, why, tuple(answered))

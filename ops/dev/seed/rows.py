"""Rows of the large tables, in the order of their foreign keys, and rows of the small ones."""

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fastapi_base.models.jobs.job import STATES
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.words import WORD_COUNT, count_words
from ops.dev.seed import items  # slice: items
from ops.dev.seed.dice import Dice, Row
from ops.dev.seed.factories import (
    DayStatisticsFactory,  # slice: statistics
    FlagOverrideFactory,
    JobFactory,
    LoginSessionFactory,
    UserFactory,
)

# begin slice: statistics
#: Days of the daily statistics.
_DAYS = 90
# end slice: statistics
#: More would all be retried at once by a relay that runs.
_RUNNING = 3


@dataclass(frozen=True)
class Table:
    """How many of all rows a table gets (at least ``least``), and how they are made."""

    columns: tuple[str, ...]
    rows: Callable[[Dice, int], Iterator[Row]]
    share: float
    least: int = 1


def email(name: str, seed: int, number: int) -> str:
    """The address of an account: unique for the seed and its number, in ASCII."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = ["".join(filter(str.isalnum, word)) for word in plain.split()]
    return f"{'.'.join(filter(None, words))[:60] or 'user'}.{seed}-{number}@example.com"


def _users(password_hash: str) -> Callable[[Dice, int], Iterator[Row]]:
    def rows(dice: Dice, count: int) -> Iterator[Row]:
        names = dice.pool(count, UserFactory.display_name)
        for number in range(count):
            created = dice.past()
            name = names[number] if number < len(names) else dice.pick(names)
            dice.users.append(dice.id(created))
            # The first can log in.
            active = not number or not dice.one_in(30)
            verified = created if not number or not dice.one_in(50) else None
            address = email(name, dice.seed, number)
            yield (
                *(dice.users[-1], address, password_hash, verified, name, active),
                *(created, created),
            )

    return rows


def _sessions(dice: Dice, count: int) -> Iterator[Row]:
    agents = dice.pool(count, LoginSessionFactory.user_agent)
    for _ in range(count):
        created = dice.past()
        used = min(dice.now, created + timedelta(days=dice.below(30)))
        revoked = used if dice.one_in(4) else None
        yield (
            *(dice.id(created), dice.owner(), _address(dice), dice.pick(agents), "pwd", created),
            *(used, used + timedelta(days=14), revoked, revoked and "logout"),
        )


def _jobs(dice: Dice, count: int) -> Iterator[Row]:
    texts = dice.pool(count, JobFactory.payload)
    running = 0
    for number in range(count):
        # Each state, then as in a service that is well.
        state = STATES[number] if number < len(STATES) else _state(dice)
        if state == "running":
            running += 1
            state = state if running <= _RUNNING else "succeeded"
        yield _job(dice, state, dice.pick(texts))


def _state(dice: Dice) -> str:
    for state, one_in in (("failed", 15), ("cancelled", 30), ("queued", 25)):
        if dice.one_in(one_in):
            return state
    return "succeeded"


def _job(dice: Dice, state: str, payload: dict[str, str]) -> Row:
    # What is queued waits for its time, so no worker takes it at once.
    created = dice.now if state == "running" else dice.past()
    due = dice.now + timedelta(days=1 + dice.below(30)) if state == "queued" else created
    started = None if state in ("queued", "cancelled") else created + timedelta(seconds=1)
    over = state in ("succeeded", "failed", "cancelled")
    finished = created + timedelta(seconds=1 + dice.below(5)) if over else None
    attempts = {"queued": 0, "cancelled": 0, "failed": WORD_COUNT.attempts}.get(state, 1)
    counted = count_words(payload["text"]).model_dump() if state == "succeeded" else None
    error = "TimeoutError: the server did not answer" if state == "failed" else None
    return (
        *(dice.id(created), WORD_COUNT.name, WORD_COUNT.version, json.dumps(payload)),
        *(WORD_COUNT.queue.value, int(WORD_COUNT.priority), state, dice.owner(), attempts),
        *(WORD_COUNT.attempts, created, due, started, started, finished),
        *(counted and json.dumps(counted), error),
    )


def _audit_events(dice: Dice, count: int) -> Iterator[Row]:
    agents = dice.pool(count, LoginSessionFactory.user_agent)
    rare = [action.value for action in Action]
    for _ in range(count):
        occurred, user = dice.past(), dice.owner()
        action = dice.pick(rare) if dice.one_in(5) else Action.LOGGED_IN.value
        yield dice.id(occurred), occurred, action, user, user, _address(dice), dice.pick(agents)


def _address(dice: Dice) -> str:
    """Reserved for documentation (RFC 5737, RFC 3849)."""
    number = dice.below(254) + 1
    return f"2001:db8::{number:x}" if dice.one_in(4) else f"203.0.113.{number}"


def tables(password_hash: str) -> Mapping[str, Table]:
    """The large tables; the last one gets what the shares leave."""
    return {
        "users": Table(
            (
                *("id", "email", "password_hash", "email_verified_at", "display_name"),
                *("is_active", "created_at", "updated_at"),
            ),
            _users(password_hash),
            share=0.04,
            least=2,
        ),
        "sessions": Table(
            (
                *("id", "user_id", "address", "user_agent", "methods", "created_at"),
                *("last_used_at", "expires_at", "revoked_at", "revoked_reason"),
            ),
            _sessions,
            share=0.12,
        ),
        "jobs": Table(
            (
                *("id", "kind", "version", "payload", "queue", "priority", "state", "owner_id"),
                *("attempt", "max_attempts", "created_at", "run_at", "published_at"),
                *("started_at", "finished_at", "result", "error"),
            ),
            _jobs,
            share=0.18,
            least=len(STATES),
        ),
        "items": Table(items.COLUMNS, items.rows, share=0.46),  # slice: items
        "audit_events": Table(
            ("id", "occurred_at", "action", "actor_id", "subject_id", "address", "user_agent"),
            _audit_events,
            share=0,
        ),
    }


def counts(total: int, parts: Mapping[str, Table]) -> dict[str, int]:
    """The number of rows of each table; together they are ``total``, at least 10."""
    spare = total - sum(part.least for part in parts.values())
    found = {name: part.least + int(spare * part.share) for name, part in parts.items()}
    *_, last = parts
    found[last] += total - sum(found.values())
    return found


def small(dice: Dice) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table and columns of single rows: a flag, and the statistics of the past days."""
    flag = FlagOverrideFactory.build()
    yield "flag_overrides", {"name": flag.name, "value": flag.value, "percentage": flag.percentage}
    # begin slice: statistics
    for day in range(1, _DAYS + 1):
        figures = DayStatisticsFactory.figures()
        at = dice.now - timedelta(days=day - 1)
        row = {"day": (dice.now - timedelta(days=day)).date(), "figures": figures}
        yield "day_statistics", {**row, "computed_at": at}
    # end slice: statistics

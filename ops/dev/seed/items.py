"""Items: their factory, and many of them."""

from collections.abc import Iterator
from datetime import timedelta

from fastapi_base.models import Item
from ops.dev.seed.base import Factory
from ops.dev.seed.dice import Dice, Row


class ItemFactory(Factory[Item]):
    """An item that is not deleted."""

    @classmethod
    def title(cls) -> str:
        """A phrase, or a name in one of several scripts."""
        fake = cls.__faker__
        phrase = cls.__random__.choice([fake["en_US"].catch_phrase, fake.company, fake.street_name])
        return str(phrase())[:200]

    @classmethod
    def description(cls) -> str | None:
        """Some sentences, or nothing."""
        some = cls.__random__.random() < 0.6
        return cls.__faker__["en_US"].paragraph(3) if some else None


COLUMNS = (
    *("id", "owner_id", "title", "description", "version", "created_at", "updated_at"),
    "deleted_at",
)


def rows(dice: Dice, count: int) -> Iterator[Row]:
    """Items of all accounts, of which few own many; some are deleted."""
    samples = dice.pool(count, lambda: (ItemFactory.title(), ItemFactory.description()))
    for number in range(count):
        created = dice.past()
        title, description = dice.pick(samples)
        changes = dice.below(4)
        updated = min(dice.now, created + timedelta(hours=changes * dice.below(200)))
        deleted = updated if dice.one_in(20) else None
        if number >= len(samples):
            # So that a search finds one row.
            title = f"{title[:180]} {number}"
        yield (
            *(dice.id(created), dice.owner(), title, description, 1 + changes),
            *(created, updated, deleted),
        )

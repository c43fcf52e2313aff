"""The base of all factories: what is left open is left to the model and the database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from faker import Faker
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from sqlalchemy import DateTime, LargeBinary, String
from sqlmodel import SQLModel

#: Accents, umlauts, Greek, Japanese, and two that are written from right to left.
LOCALES = ["en_US", "de_DE", "fr_FR", "pl_PL", "tr_TR", "pt_BR", "el_GR", "ja_JP", "he_IL", "ar_AA"]
_DAYS = 90


class Factory[T: SQLModel](SQLAlchemyFactory[T]):
    """Builds a row that the database accepts, once its foreign keys name existing rows.

    Optional columns and those with a default stay unset unless the factory of the model, or the
    caller, gives a value. `seed_random(number)` makes the values repeatable, except for defaults.
    """

    __is_base_factory__ = True
    __set_primary_key__ = True
    __set_foreign_keys__ = True
    __set_relationships__ = False
    __faker__ = Faker(LOCALES)

    @classmethod
    def should_column_be_set(cls, column: Any) -> bool:
        """Whether it needs a value."""
        if column.name in vars(cls):
            return True
        model = cls.__model__.model_fields[column.name]
        return not (column.nullable or column.server_default or column.identity) and (
            model.is_required()
        )

    @classmethod
    def get_sqlalchemy_types(cls) -> dict[Any, Callable[[], Any]]:
        """Times with a time zone, digests of 32 bytes, and short text."""
        return {
            **super().get_sqlalchemy_types(),
            DateTime: cls.moment,
            LargeBinary: lambda: cls.__random__.randbytes(32),
            String: lambda: cls.__faker__["en_US"].slug()[:16],
        }

    @classmethod
    def moment(cls, days: float = _DAYS) -> datetime:
        """A time in the past days."""
        return datetime.now(UTC) - timedelta(days=days * cls.__random__.random())

    @classmethod
    def later(cls, days: float = _DAYS) -> datetime:
        """A time in the next days."""
        return datetime.now(UTC) + timedelta(days=1 + days * cls.__random__.random())

    @classmethod
    def digest(cls) -> bytes:
        """The digest of a token that nobody has."""
        return cls.__random__.randbytes(32)

    @classmethod
    def email(cls) -> str:
        """A normalised e-mail address that no other row has."""
        return (
            f"{cls.__faker__['en_US'].user_name()}.{cls.__random__.randbytes(5).hex()}@example.com"
        )

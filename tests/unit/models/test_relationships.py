"""Unloaded relationships raise on access, so N+1 queries cannot creep in."""

from collections.abc import Iterable

from sqlalchemy import ForeignKey
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Mapper,
    mapped_column,
    registry,
    relationship,
)
from sqlmodel.main import default_registry

from fastapi_base import models

RAISING = {"raise", "raise_on_sql", "write_only", "noload"}


def loading(mappers: Iterable[Mapper[object]]) -> list[str]:
    """The relationships that would query the database on access."""
    return [
        str(relation)
        for mapper in mappers
        for relation in mapper.relationships
        if relation.lazy not in RAISING
    ]


def test_no_relationship_loads_lazily() -> None:
    mappers = list(default_registry.mappers)
    assert models.User in {mapper.class_ for mapper in mappers}
    assert loading(mappers) == []


def test_check_finds_lazy_relationships() -> None:
    class Base(DeclarativeBase):
        registry = registry()

    class Parent(Base):
        __tablename__ = "parents"
        id: Mapped[int] = mapped_column(primary_key=True)
        lazy: Mapped[list["Child"]] = relationship(overlaps="loud")
        loud: Mapped[list["Child"]] = relationship(lazy="raise", overlaps="lazy")

    class Child(Base):
        __tablename__ = "children"
        id: Mapped[int] = mapped_column(primary_key=True)
        parent: Mapped[int] = mapped_column(ForeignKey(Parent.id))

    assert loading(Base.registry.mappers) == ["Parent.lazy"]

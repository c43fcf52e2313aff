"""The links from an image to its origin: each is verified, missing or wrong."""

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """What is known of a link; a note is no link and changes no result."""

    OK = "ok"
    NOTE = "note"
    MISSING = "MISSING"
    WRONG = "WRONG"


@dataclass(frozen=True)
class Link:
    """``name`` is one of few words, such as ``provenance``; ``text`` is for people."""

    status: Status
    name: str
    text: str

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the image."""
        return self.status in (Status.OK, Status.NOTE)

    def __str__(self) -> str:
        return f"{self.status.value:<8} {self.name:<12} {self.text}"


def ok(name: str, text: str) -> Link:
    """A link that was verified."""
    return Link(Status.OK, name, text)


def note(name: str, text: str) -> Link:
    """Something that was not checked, and need not be."""
    return Link(Status.NOTE, name, text)


def missing(name: str, text: str) -> Link:
    """A link without which the origin is unknown."""
    return Link(Status.MISSING, name, text)


def wrong(name: str, text: str) -> Link:
    """Something that contradicts the image."""
    return Link(Status.WRONG, name, text)

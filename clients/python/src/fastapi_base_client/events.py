"""Server-sent events (HTML, 9.2), as far as the API sends them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """An event with the id from which a stream resumes after it."""

    id: str
    data: str


class Parser:
    """Takes lines and returns an event at the end of each."""

    def __init__(self) -> None:
        self._id = ""
        self._data: list[str] = []

    def feed(self, line: str) -> Event | None:
        """The event that this line completes. Comments and other fields are ignored."""
        if not line:
            data, self._data = "\n".join(self._data), []
            return Event(self._id, data) if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._id = value
        elif name == "data":
            self._data.append(value)
        return None

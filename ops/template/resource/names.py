"""The forms of a resource's name, and English plurals."""

import re
from dataclasses import dataclass

_WORD = r"[a-z]{2,}"
NAME = re.compile(rf"{_WORD}(_{_WORD}){{0,2}}")
LONGEST = 20
_SIBILANT = re.compile(r"(s|x|z|ch|sh)$")
_CONSONANT_Y = re.compile(r"[^aeiou]y$")


def plural_of(singular: str) -> str:
    """The plural by the rules of English; irregular words need PLURAL=."""
    if _CONSONANT_Y.search(singular):
        return f"{singular[:-1]}ies"
    return f"{singular}es" if _SIBILANT.search(singular) else f"{singular}s"


@dataclass(frozen=True, slots=True)
class Names:
    """The forms of a name: `order_line`, `OrderLine`, `order line`, `order-lines`."""

    singular: str
    plural: str

    @property
    def model(self) -> str:
        """The class: `OrderLine`."""
        return _camel(self.singular)

    @property
    def models(self) -> str:
        """The plural in names of classes: `OrderLines`."""
        return _camel(self.plural)

    @property
    def path(self) -> str:
        """The plural in URLs, scopes and tags: `order-lines`."""
        return self.plural.replace("_", "-")

    @property
    def words(self) -> str:
        """The name in sentences: `order line`."""
        return self.singular.replace("_", " ")

    @property
    def many(self) -> str:
        """The plural in sentences: `order lines`."""
        return self.plural.replace("_", " ")

    @property
    def an(self) -> str:
        """The name with its article: `an order line`."""
        return f"{'an' if self.words[0] in 'aeiou' else 'a'} {self.words}"


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))

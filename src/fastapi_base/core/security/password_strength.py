"""Which passwords are too easy: what is guessed first, not what lacks a digit.

Length is what makes a password strong (NIST SP 800-63B, 5.1.1.2); of long ones, these are refused:
common ones and common words with ornaments, repetitions, sequences, and what an attacker knows of
the account anyway.
"""

import unicodedata
from collections.abc import Iterable
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from itertools import pairwise

from fastapi_base.core.errors import WeakPassword

SERVICE_WORDS = ("fastapi-base", "fastapi", "password")
_ORNAMENTS = "0123456789 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_PLAIN = str.maketrans("013457@$!", "oleastasi")
_LEAST_DIFFERENT = 5
_LEAST_OF_ITS_OWN = 6
_SHORTEST_WORD = 3
_SEQUENCE_SHARE = 0.75
# A password that holds it may match several of the list in a row: as easy as one.
_END = "\n"


def _most_common() -> str:
    """The 30,000 passwords that leak most often, by the zxcvbn library, each between two _END.

    Its module is read and let go: imported, it would keep twelve megabytes. One text takes a
    quarter of one; as a set of texts it would take five, and to find a word in it takes
    microseconds, beside the milliseconds of a hash.
    """
    package = find_spec("zxcvbn")
    assert package
    found = PathFinder.find_spec("zxcvbn.frequency_lists", package.submodule_search_locations)
    assert found
    assert found.loader
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return _END.join(["", *module.FREQUENCY_LISTS["passwords"], ""])


_COMMON = _most_common()


def check(password: str, email: str) -> None:
    """Raise WeakPassword, with the reason, for a password that is guessed early."""
    if reason := weakness(password, [*SERVICE_WORDS, *email.lower().replace("@", ".").split(".")]):
        raise WeakPassword(reason)


def weakness(password: str, known: Iterable[str] = ()) -> str | None:
    """Why this password is too easy, or None. `known` is what an attacker knows of the account."""
    text = unicodedata.normalize("NFKC", password).casefold()
    if len(set(text)) < _LEAST_DIFFERENT:
        return "It repeats a few characters"
    steps = sum(abs(ord(after) - ord(before)) <= 1 for before, after in pairwise(text))
    if steps >= _SEQUENCE_SHARE * (len(text) - 1):
        return "It is a sequence"
    # A text that repeats a unit is found in itself, shifted by that unit.
    unit = text[: (text + text).find(text, 1)]
    for candidate in {text, unit}:
        bare = candidate.strip(_ORNAMENTS)
        forms = {candidate, bare, bare.translate(_PLAIN), candidate.translate(_PLAIN)}
        if any(f"{_END}{form}{_END}" in _COMMON for form in forms):
            return "It is a common password"
    if len(unit) < len(text) and len(unit) <= _LEAST_OF_ITS_OWN:
        return "It repeats a few characters"
    rest = text
    for word in sorted(known, key=len, reverse=True):
        if len(word) >= _SHORTEST_WORD:
            rest = rest.replace(word, "")
    if rest != text and len(rest.strip(_ORNAMENTS)) < _LEAST_OF_ITS_OWN:
        return "It is made of the address or of the name of this service"
    return None

"""Rejects passwords that attackers guess first, rather than those that lack a digit.

Length makes a password strong (NIST SP 800-63B, 5.1.1.2). Of long passwords, these are rejected:
common ones, common words with added symbols, repetitions, sequences, and what is known about the
account.
"""

import unicodedata
from collections.abc import Iterable
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from itertools import pairwise

from fastapi_base.core.errors import WeakPassword
from fastapi_base.core.security.passwords import PASSWORD_MAX

SERVICE_WORDS = ("fastapi-base", "fastapi", "password")
_ORNAMENTS = "0123456789 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_PLAIN = str.maketrans("013457@$!", "oleastasi")
_LEAST_DIFFERENT = 5
_LEAST_OF_ITS_OWN = 6
_SHORTEST_WORD = 3
_SEQUENCE_SHARE = 0.75
# A password that contains it could match several consecutive entries: as weak as one of them.
_END = "\n"


def _most_common() -> str:
    """The 30,000 most commonly leaked passwords, from the zxcvbn library, separated by _END.

    The module is executed and discarded: importing it would keep 12 MB in memory. One string takes
    a quarter of a megabyte; a set of strings would take 5 MB. A search in it takes microseconds,
    compared with the milliseconds of a hash.
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
    """Raise WeakPassword, with the reason, if the password is easy to guess."""
    if reason := weakness(password, [*SERVICE_WORDS, *email.lower().replace("@", ".").split(".")]):
        raise WeakPassword(reason)


def weakness(password: str, known: Iterable[str] = ()) -> str | None:
    """Why the password is too weak, or None. `known` holds words an attacker knows of the account.

    Only the first PASSWORD_MAX characters are checked; longer passwords are not accepted anyway.
    """
    text = unicodedata.normalize("NFKC", password[:PASSWORD_MAX]).casefold()
    if len(set(text)) < _LEAST_DIFFERENT:
        return "The password repeats a few characters"
    steps = sum(abs(ord(after) - ord(before)) <= 1 for before, after in pairwise(text))
    if steps >= _SEQUENCE_SHARE * (len(text) - 1):
        return "The password is a sequence"
    # A text that repeats a unit is found in itself, shifted by that unit.
    unit = text[: (text + text).find(text, 1)]
    for candidate in {text, unit}:
        bare = candidate.strip(_ORNAMENTS)
        forms = {candidate, bare, bare.translate(_PLAIN), candidate.translate(_PLAIN)}
        if any(f"{_END}{form}{_END}" in _COMMON for form in forms):
            return "The password is a common password"
    if len(unit) < len(text) and len(unit) <= _LEAST_OF_ITS_OWN:
        return "The password repeats a few characters"
    rest = text
    for word in sorted(known, key=len, reverse=True):
        if len(word) >= _SHORTEST_WORD:
            rest = rest.replace(word, "")
    if rest != text and len(rest.strip(_ORNAMENTS)) < _LEAST_OF_ITS_OWN:
        return "The password consists of the e-mail address or the name of this service"
    return None

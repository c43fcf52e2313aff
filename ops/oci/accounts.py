"""Users, groups and the name service, which no maintainer script makes here."""

import re
from collections.abc import Mapping

from ops.oci.tree import Entry, TreeError

ORIGIN = "users"

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")

#: Names before numbers, in files before DNS: what glibc would assume, said aloud.
NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n"


def entries(users: Mapping[str, int]) -> list[Entry]:
    """The files of /etc for root and the users given, by name; each has a group of its own number.

    Nobody has a password or a shell. Raises TreeError for names and numbers that cannot be used.
    """
    everybody = {"root": 0, **users, "nobody": 65534}
    for name, number in everybody.items():
        if not _NAME.fullmatch(name):
            raise TreeError(f"users: {name!r} is no user name; use lower-case letters and digits")
        if name not in ("root", "nobody") and not 0 < number < 65534:
            raise TreeError(f"users: number {number} of {name} is not between 1 and 65533")
    if len(set(everybody.values())) != len(everybody):
        raise TreeError(f"users: two of {everybody} have the same number; give each its own")
    ordered = sorted(everybody.items(), key=lambda item: item[1])
    passwd = "".join(
        f"{name}:x:{number}:{number}:{name}:{'/root' if not number else '/nonexistent'}:"
        "/usr/sbin/nologin\n"
        for name, number in ordered
    )
    group = "".join(f"{name}:x:{number}:\n" for name, number in ordered)
    return [
        Entry("etc/passwd", "file", 0o644, content=passwd.encode(), origin=ORIGIN),
        Entry("etc/group", "file", 0o644, content=group.encode(), origin=ORIGIN),
        Entry("etc/nsswitch.conf", "file", 0o644, content=NSSWITCH.encode(), origin=ORIGIN),
        Entry("root", "directory", 0o700, origin=ORIGIN),
    ]

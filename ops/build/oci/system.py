"""What a bare Debian system has besides package files; maintainer scripts would create it."""

from collections.abc import Iterable, Iterator, Mapping

from ops.build.oci import paths
from ops.build.oci.entry import Entry, Kind, directory, file, symlink
from ops.build.oci.errors import OciError

#: The folder in which the package ca-certificates keeps one file per certificate.
CERTIFICATES = "usr/share/ca-certificates/"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"

_FOLDERS = {
    "boot": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "run": 0o755,
    "run/lock": 0o1777,
    "srv": 0o755,
    "sys": 0o755,
    "tmp": 0o1777,
    "usr": 0o755,
    "var": 0o755,
    "var/tmp": 0o1777,
}
_NSSWITCH = """\
passwd:   files
group:    files
shadow:   files
hosts:    files dns
networks: files
protocols: files
services: files
"""
_NOBODY = 65534


def base_files(origin: str) -> Iterator[Entry]:
    """Folders, the links of merged /usr and /run, the name service, UTC as the local time."""
    for path, mode in _FOLDERS.items():
        yield directory(path, mode, origin=origin)
    for link, target in paths.MERGED.items():
        if link in ("bin", "sbin", "lib", "lib64"):
            yield directory(target, origin=origin)
            yield symlink(link, target, origin)
    for link, target in paths.RUN.items():
        yield symlink(link, f"/{target}", origin)
    yield file("etc/nsswitch.conf", _NSSWITCH.encode(), origin=origin)
    yield symlink("etc/localtime", "/usr/share/zoneinfo/Etc/UTC", origin)
    yield file("etc/timezone", b"Etc/UTC\n", origin=origin)


def account_files(users: Mapping[str, str], origin: str) -> Iterator[Entry]:
    """passwd and group with root, nobody and ``users``; each user has its own group.

    No account has a password or a shell. Raises OciError for an invalid name or number.
    """
    accounts = {"root": 0, "nobody": _NOBODY}
    for name, number in users.items():
        if not name.isascii() or not name.isidentifier() or name in accounts:
            raise OciError(f"{origin}: users: {name!r} cannot be added as a user's name")
        if not number.isdigit() or int(number) in accounts.values():
            raise OciError(
                f"{origin}: users: {name} has number {number!r}; give it a free one above 0"
            )
        accounts[name] = int(number)
    ordered = sorted(accounts.items(), key=lambda account: account[1])
    homes = {"root": "/root"}
    passwd = [
        f"{name}:x:{number}:{number}:{name}:{homes.get(name, '/nonexistent')}:/usr/sbin/nologin"
        for name, number in ordered
    ]
    group = [f"{'nogroup' if name == 'nobody' else name}:x:{number}:" for name, number in ordered]
    yield file("etc/passwd", ("\n".join(passwd) + "\n").encode(), origin=origin)
    yield file("etc/group", ("\n".join(group) + "\n").encode(), origin=origin)


def certificates(entries: Iterable[Entry], origin: str) -> Iterator[Entry]:
    """The bundle that update-ca-certificates would write, at the path where OpenSSL looks for
    it.
    """
    found = sorted(
        (entry.path, entry.content)
        for entry in entries
        if entry.kind is Kind.FILE
        and entry.path.startswith(CERTIFICATES)
        and entry.path.endswith(".crt")
    )
    if not found:
        raise OciError(f"{origin}: the package ca-certificates brings no certificate")
    bundle = b"".join(content.rstrip(b"\n") + b"\n" for _, content in found)
    yield file(BUNDLE, bundle, origin=origin)
    yield symlink("usr/lib/ssl/certs", "/etc/ssl/certs", origin)
    yield symlink("usr/lib/ssl/cert.pem", f"/{BUNDLE}", origin)

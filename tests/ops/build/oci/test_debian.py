from dataclasses import replace
from pathlib import Path

import pytest

from ops.build.oci import bytecode, control, debian
from ops.build.oci.debian import Rootfs
from ops.build.oci.entry import Entry, Kind, directory, file, hardlink, symlink
from ops.build.oci.errors import OciError
from tests.ops.build.oci import samples


def layer(tmp_path: Path, *content: Entry, **fields: object) -> dict[str, Entry]:
    deb = samples.deb(tmp_path / "one.deb", "one", *content)
    tree = debian.rootfs(Rootfs("//:os", [deb], **fields), bytecode.own())  # type: ignore[arg-type]
    return {entry.path: entry for entry in tree.entries()}


def test_files_follow_merged_usr_and_belong_to_root(tmp_path: Path) -> None:
    found = layer(
        tmp_path, file("lib/x.so", b"1"), hardlink("bin/two", "lib/x.so"), directory("lib", 0o775)
    )
    assert found["usr/lib/x.so"].same(file("usr/lib/x.so", b"1"))
    assert found["usr/bin/two"].target == "usr/lib/x.so"
    assert "lib" not in found


def test_setuid_is_removed_and_sticky_directories_are_kept(tmp_path: Path) -> None:
    found = layer(
        tmp_path,
        Entry("usr/bin/su", Kind.FILE, 0o4755),
        directory("var/spool", 0o1777),
        directory("var/private", 0o700),
    )
    assert found["usr/bin/su"].mode == 0o755
    assert found["var/spool"].mode == 0o1777
    assert found["var/private"].mode == 0o700


def test_manuals_are_removed_and_copyright_files_kept(tmp_path: Path) -> None:
    found = layer(
        tmp_path,
        file("usr/share/man/man1/x.1.gz", b""),
        file("usr/share/doc/one/changelog.gz", b""),
        file("usr/share/doc/one/copyright", b"free"),
        file("usr/share/locale/fr/x.mo", b""),
    )
    assert [path for path, entry in found.items() if entry.kind is Kind.FILE] == [
        "usr/share/doc/one/copyright",
        "var/lib/dpkg/status.d/one",
    ]


def test_maintainer_scripts_are_excluded_and_scanners_find_the_package(tmp_path: Path) -> None:
    found = layer(tmp_path, file("usr/bin/x", b"", 0o755))
    assert not [path for path in found if "postinst" in path]
    status = found["var/lib/dpkg/status.d/one"].content.decode()
    assert status.startswith("Package: one\nStatus: install ok installed\n")
    assert "\nVersion: 1.0-1\nArchitecture: amd64\n" in status
    assert status.endswith("Description: a sample\n with a second line\n")


def test_base_has_links_accounts_names_and_times(tmp_path: Path) -> None:
    found = layer(tmp_path, file("lib/x", b""), base=True, users={"app": "10001"})
    assert found["bin"].target == "usr/bin"
    assert found["var/run"].target == "/run"
    assert found["tmp"].mode == 0o1777
    assert found["etc/passwd"].content.decode().splitlines() == [
        "root:x:0:0:root:/root:/usr/sbin/nologin",
        "app:x:10001:10001:app:/nonexistent:/usr/sbin/nologin",
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
    ]
    assert b"hosts:    files dns" in found["etc/nsswitch.conf"].content
    assert found["etc/localtime"].target == "/usr/share/zoneinfo/Etc/UTC"


def test_certificates_are_concatenated_in_name_order(tmp_path: Path) -> None:
    found = layer(
        tmp_path,
        file("usr/share/ca-certificates/mozilla/b.crt", b"B"),
        file("usr/share/ca-certificates/mozilla/a.crt", b"A\n"),
    )
    assert found["etc/ssl/certs/ca-certificates.crt"].content == b"A\nB\n"
    assert found["usr/lib/ssl/cert.pem"].target == "/etc/ssl/certs/ca-certificates.crt"


def test_directory_of_the_runtime_user(tmp_path: Path) -> None:
    found = layer(tmp_path, file("x", b""), directories={"/var/run/pg": "10002:10002:0750"})
    assert found["run/pg"].same(directory("run/pg", 0o750, 10002, 10002))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"directories": {"/d": "app:app:0755"}}, "directories: '/d' has 'app:app:0755' where UID"),
        ({"directories": {"/../d": "1:1:0755"}}, "'/../d' would leave the image's root"),
        ({"links": {"/a": "../../x"}}, "link a -> ../../x would leave the image's root"),
        ({"omit": ["usr/nothing/*"]}, "omit: 'usr/nothing/*' fits no path"),
        ({"bytecode": ["/usr/lib/python9"]}, "bytecode: no package brings /usr/lib/python9"),
        ({"users": {"app": "1"}}, "users may be given only where no base is"),
        ({"users": {"app": "0"}, "base": True}, "users: app has number '0'; give it a free one"),
        ({"users": {"root": "5"}, "base": True}, "users: 'root' cannot be added"),
    ],
)
def test_invalid_field_is_refused_with_target_field_and_remedy(
    tmp_path: Path, fields: dict[str, object], message: str
) -> None:
    with pytest.raises(OciError) as error:
        layer(tmp_path, file("x", b""), **fields)
    assert str(error.value).startswith(f"//:os: {message}")


def test_conflicting_packages_are_named(tmp_path: Path) -> None:
    debs = [
        samples.deb(tmp_path / f"{name}.deb", name, file("etc/x", name.encode()))
        for name in ("one", "two")
    ]
    with pytest.raises(OciError, match=r"//:os \(one\) and //:os \(two\) disagree on /etc/x"):
        debian.rootfs(Rootfs("//:os", debs), bytecode.own())


def test_order_of_packages_does_not_matter(tmp_path: Path) -> None:
    debs = [
        samples.deb(
            tmp_path / f"{name}.deb",
            name,
            file(f"usr/bin/{name}", b"", 0o755),
            file("usr/share/both", b"same"),
        )
        for name in ("one", "two")
    ]
    first, second = (
        [
            replace(entry, origin="")
            for entry in debian.rootfs(Rootfs("//:os", order), bytecode.own()).entries()
        ]
        for order in (debs, debs[::-1])
    )
    assert first == second


def test_link_outside_the_root_is_refused(tmp_path: Path) -> None:
    bad = Entry("usr/x", Kind.FILE)  # no valid Entry can represent this
    object.__setattr__(bad, "kind", Kind.SYMLINK)
    object.__setattr__(bad, "target", "../../etc")
    with pytest.raises(OciError, match=r"//:os \(one\): link usr/x -> \.\./\.\./etc would leave"):
        layer(tmp_path, bad)


def test_licences_are_read_from_a_copyright_file() -> None:
    text = (
        "Format: x\n\nFiles: *\nLicense: MIT\n text\n\nFiles: y\nLicense: GPL-2+\n\nLicense: MIT\n"
    )
    assert control.licences(text) == ["GPL-2+", "MIT"]
    assert control.licences("This is free software\nLicense: MIT\n") == []


def test_links_are_created(tmp_path: Path) -> None:
    found = layer(
        tmp_path, file("usr/bin/python3.13", b""), links={"/usr/bin/python3": "python3.13"}
    )
    assert found["usr/bin/python3"].same(symlink("usr/bin/python3", "python3.13"))

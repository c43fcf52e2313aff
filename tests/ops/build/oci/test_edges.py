from ops.build.oci import edges
from ops.build.oci.components import Component


def pypi(name: str, *requires: str) -> Component:
    return Component("pypi", name, "1", requires=requires)


def deb(name: str, *requires: str) -> Component:
    return Component("deb", name, "1", "amd64", requires=requires)


def names(found: dict[edges.Key, list[edges.Key]], kind: str, name: str) -> list[str]:
    return [one for _, one in found[kind, name]]


def test_debian_package_requires_the_alternative_that_is_installed() -> None:
    known = [deb("aa", "bb (>= 2) | cc", "dd:any | ee", "virtual"), *map(deb, ("cc", "dd", "ee"))]
    assert names(edges.edges(known, "linux/amd64"), "deb", "aa") == ["cc", "dd"]


def test_markers_are_those_of_the_image() -> None:
    known = [
        pypi(
            "one",
            'two; sys_platform == "win32"',
            'three; platform_machine == "aarch64"',
            'four; python_version >= "3.13"',
            "missing",
        ),
        *(pypi(name) for name in ("two", "three", "four")),
        deb("python3.13"),
    ]
    assert names(edges.edges(known, "linux/amd64"), "pypi", "one") == ["four"]
    assert names(edges.edges(known, "linux/arm64"), "pypi", "one") == ["four", "three"]


def test_extras_count_where_something_requests_them() -> None:
    known = [
        Component("app", "ours", "", requires=("One[fast]<2",)),
        pypi("one", 'two; extra == "fast"', 'three; extra == "slow"'),
        pypi("two", "four[extra]"),
        pypi("three"),
        pypi("four", 'one; extra == "extra"'),
    ]
    found = edges.edges(known, "linux/amd64")
    assert names(found, "app", "ours") == ["one"]
    assert names(found, "pypi", "one") == ["two"]
    assert names(found, "pypi", "four") == ["one"]
    assert edges.required_by(found)["pypi", "one"] == [("app", "ours"), ("pypi", "four")]


def test_requirement_that_no_tool_reads_is_skipped() -> None:
    known = [pypi("one", "two (>=1,<2", "two"), pypi("two")]
    assert names(edges.edges(known, "linux/amd64"), "pypi", "one") == ["two"]

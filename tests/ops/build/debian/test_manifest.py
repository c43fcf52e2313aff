"""An invalid manifest is refused with the file, the key and the expected value."""

from pathlib import Path

import pytest

from ops.build.debian.manifest import ManifestError, read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("suite = ", "not TOML"),
        ('packages = ["a1"]', "suite must be"),
        ('suite = "trixie"', "packages must name at least one"),
        ('suite = "trixie"\npackages = "hello"', "packages must be a list"),
        ('suite = "trixie"\npackages = ["hello"]\nexclud = []', "unknown key 'exclud'"),
        ('suite = "trixie"\npackages = ["hello"]\nexclude = ["hello"]', "both in packages"),
        (
            'suite = "trixie"\npackages = ["hello"]\narchitectures = ["mips"]',
            "'mips' is not one of",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=r"x\.toml") as caught:
        read(path)
    assert said in str(caught.value)


def test_default_is_both_architectures(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('suite = "trixie"\npackages = ["hello"]\n')
    manifest = read(path)
    assert manifest.architectures == ("amd64", "arm64")
    assert manifest.lock == tmp_path / "x.lock"

"""`make update` merges the base's changes, completely or not at all."""

import sys
from pathlib import Path

import pytest

from ops.template.new.names import OLD
from ops.template.new.repository import Wanted, make
from ops.template.update import merge
from ops.template.update.git import TemplateError, git
from tests.ops.template.new import templates
from tests.ops.template.update.making import unformatted

MANIFESTS = Path("ops/template/slices/manifests")
MANIFEST = """title = "Extra"
description = "More."
standard = true
files = ["src/*/extra.py"]
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A small template with a slice, whose Makefile creates repositories."""
    root = templates.small(tmp_path / "the template")
    program = f'{sys.executable}" -m tests.ops.template.update.making "$(NAME)" "$(INTO)'
    makefile = f'# first\nnew:\n\t@PYTHONPATH="{Path.cwd()}" "{program}"\n'
    (root / "Makefile").write_text(makefile)
    (root / MANIFESTS).mkdir(parents=True)
    (root / MANIFESTS / "extra.toml").write_text(MANIFEST)
    (root / "src" / OLD / "extra.py").write_text("A = 1\n")
    (root / "src" / OLD / "main.py").write_text("B = 1\nC = 2  # slice: extra\n")
    templates.commit(root, "Add a slice")
    return root


@pytest.fixture
def product(template: Path, tmp_path: Path) -> Path:
    """A repository that was created from the template, with a commit of its own."""
    folder = make(template, tmp_path / "shop", Wanted("shop"), unformatted).folder
    (folder / "own").write_text("mine\n")
    templates.commit(folder, "own work")
    return folder


def change(template: Path, file: str, text: str, message: str) -> None:
    (template / file).write_text(text)
    templates.commit(template, message)


def state(product: Path) -> tuple[str, ...]:
    return tuple(
        git(product, *arguments)
        for arguments in (
            ("rev-parse", "HEAD", "base"),
            ("status", "--porcelain"),
            ("worktree", "list"),
        )
    )


def test_changes_since_the_last_update_are_merged_and_listed(template: Path, product: Path) -> None:
    change(template, "run", "#!/bin/sh\nexit 0\n", "Exit at once")
    change(template, "more", "more\n", "Add more")
    assert "Next: make fmt check test" in merge.update(product, "")
    assert (product / "more").read_text() == "more\n"
    assert (product / "own").read_text() == "mine\n"
    version = git(template, "rev-parse", "HEAD")[:10]
    old = git(template, "rev-parse", "HEAD~2")[:10]
    assert git(product, "log", "-1", "--format=%B") == (
        f"Merge the base at {version}\n\nIts changes since {old}:\n\n- Add more\n- Exit at once"
    )
    assert "has the newest base already: " in merge.update(product, "")
    change(template, "more", "even more\n", "Add even more")
    merge.update(product, "../the template")
    assert git(product, "log", "-1", "--format=%B").endswith(":\n\n- Add even more")


def test_slice_removed_here_stays_removed(template: Path, product: Path) -> None:
    (product / "src/shop/extra.py").unlink()
    (product / "src/shop/main.py").write_text("B = 1\n")
    (product / MANIFESTS / "extra.toml").unlink()
    record = product / "ops/template/product.toml"
    record.write_text(record.read_text().replace("[\n]", '[\n  "extra",\n]'))
    templates.commit(product, "remove the slice")
    change(template, f"src/{OLD}/extra.py", "A = 2\n", "Change the slice")
    change(template, f"src/{OLD}/main.py", "B = 1\nC = 3  # slice: extra\n", "Change its line")
    merge.update(product, "")
    assert not (product / "src/shop/extra.py").exists()
    assert (product / "src/shop/main.py").read_text() == "B = 1\n"
    assert git(product, "status", "--porcelain") == ""


def test_same_lines_conflict_and_can_be_undone(
    template: Path,
    product: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (product / "run").write_text("#!/bin/bash\n")
    templates.commit(product, "use bash")
    head = git(product, "rev-parse", "HEAD")
    change(template, "run", "#!/bin/zsh\n", "Use zsh")
    monkeypatch.chdir(product)
    assert merge.main([""]) == 1
    assert "changed on both sides:\nrun\n" in capsys.readouterr().out
    with pytest.raises(TemplateError, match="a merge is not finished"):
        merge.update(product, "")
    git(product, "merge", "--abort")
    assert git(product, "rev-parse", "HEAD") == head
    assert git(product, "status", "--porcelain") == ""
    assert "Use zsh" in merge.update(product, "")


def test_tree_with_changes_is_refused(template: Path, product: Path) -> None:
    (product / "own").write_text("changed\n")
    before = state(product)
    with pytest.raises(TemplateError, match="not committed, such as in own"):
        merge.update(product, "")
    assert state(product) == before


@pytest.mark.parametrize("source", ["../nowhere", "ssh://git@127.0.0.1:9/base"])
def test_base_that_is_not_found_is_named(product: Path, source: str) -> None:
    before = state(product)
    with pytest.raises(TemplateError, match=f"the base is not found at {source}; name its"):
        merge.update(product, source)
    assert state(product) == before
    git(product, "config", "--unset", "template.from")
    with pytest.raises(TemplateError, match="make update FROM="):
        merge.update(product, "")


@pytest.mark.parametrize("failure", ["base", "untracked", "interrupt"])
def test_failure_changes_nothing(
    template: Path, product: Path, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(template, "broken" if failure == "base" else "more", "from the base\n", "Add a file")
    error: type[BaseException] = TemplateError
    if failure == "untracked":
        (product / "more").write_text("not committed\n")
    elif failure == "interrupt":
        error = KeyboardInterrupt

        def interrupted(*_: object) -> str:
            raise KeyboardInterrupt

        monkeypatch.setattr(merge, "_merge", interrupted)
    before = state(product)
    with pytest.raises(error):
        merge.update(product, "")
    assert state(product) == before


def test_base_itself_and_branch_base_are_refused(template: Path, product: Path) -> None:
    with pytest.raises(TemplateError, match="is for a repository that was created from the base"):
        merge.update(template, "")
    git(product, "switch", "--quiet", "base")
    with pytest.raises(TemplateError, match="switch to your own branch"):
        merge.update(product, "")


def test_clone_of_the_product_uses_the_branch_of_its_origin(
    template: Path, product: Path, tmp_path: Path
) -> None:
    change(template, "more", "more\n", "Add more")
    git(tmp_path, "clone", "--quiet", str(product), "colleague")
    colleague = tmp_path / "colleague"
    assert "Add more" in merge.update(colleague, str(template))
    assert (colleague / "more").exists()

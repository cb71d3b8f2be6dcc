"""A figure says which program made it: the commit of genrec's own repository, never of somebody else's."""

import subprocess
from pathlib import Path

from genrec import provenance as module
from genrec.provenance import commit, provenance


def git(folder: Path, *arguments: str) -> str:
    known = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *known, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def repository(folder: Path, file: str) -> Path:
    """A repository with one committed file."""
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text("first\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder.resolve()


def test_the_commit_is_that_of_the_repository_that_holds_genrec(tmp_path: Path) -> None:
    root = repository(tmp_path / "own", "genrec/provenance.py")
    assert commit(root) == {"commit": git(root, "rev-parse", "HEAD"), "dirty": False}
    commit.cache_clear()
    (root / "notes.txt").write_text("not tracked\n")
    assert commit(root)["dirty"] is False
    commit.cache_clear()
    (root / "genrec" / "provenance.py").write_text("second\n")
    assert commit(root)["dirty"] is True
    commit.cache_clear()


def test_another_projects_repository_is_not_taken_for_ours(tmp_path: Path) -> None:
    theirs = repository(tmp_path / "theirs", "their/code.py")
    assert commit(theirs) == {}  # it holds no genrec
    (inside := theirs / "venv" / "site-packages").mkdir(parents=True)
    assert commit(inside) == {}  # its top is another folder
    (alone := tmp_path / "no-repository").mkdir()
    assert commit(alone) == {}
    commit.cache_clear()


def test_without_a_commit_the_version_stands_alone() -> None:
    made = provenance("genrec eval")
    root = Path(module.__file__).resolve().parent.parent
    assert made["genrec_version"]
    assert ("commit" in made) is ("dirty" in made) is bool(commit(root))

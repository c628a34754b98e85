"""Versions: every run can be brought back, and what the user has checked out is never touched."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from toy import PARAMS, make_toy, run

from flows.publish import hand_on, publish, push_data, waiting
from flows.settings import Operations
from flows.versions import keep_version
from tasks.errors import BarenError, ParamsError

NOW = datetime(2030, 1, 1, 3, 0, tzinfo=UTC)
SET = next(iter(PARAMS["pictures"]))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A toy checkout under git, with one committed state and nothing built."""
    root = tmp_path / "checkout"
    root.mkdir()
    make_toy(root)
    (root / ".dvc/config.local").write_text(f"[core]\n    site_cache_dir = {root}/.dvc/site\n")
    (root / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n/site\n")
    (root / ".gitignore").write_text("/data/\n/.scratch/\n/ran\n/web\n/quality\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return root


def git(root: Path, *command: str) -> str:
    done = run("git", *command, cwd=root)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def night(root: Path, number: int) -> None:
    """A night on which the web has `number` pictures more than on the first."""
    (root / "web").write_text(f"{number}")
    done = run("dvc", "repro", "--force", "--single-item", f"scrape@{SET}", cwd=root)
    assert done.returncode == 0, done.stderr


def raw(root: Path) -> str:
    return (root / f"data/1-raw/{SET}/items/00001.jsonl").read_text()


def test_every_night_can_be_brought_back_and_the_users_tree_is_not_touched(checkout: Path) -> None:
    (checkout / "params.yaml").write_text((checkout / "params.yaml").read_text() + "\n# not committed\n")
    (checkout / "notes.txt").write_text("not even added")
    (checkout / "staged.txt").write_text("added, not committed")
    git(checkout, "add", "staged.txt")
    before = git(checkout, "status", "--porcelain"), git(checkout, "rev-parse", "HEAD")
    kept: list[tuple[str, str]] = []
    for number in (2, 3, 5):
        night(checkout, number)
        version = keep_version("kept", f"night {number}", NOW + timedelta(days=number), checkout)
        assert version is not None
        assert version.new
        kept.append((version.tag, raw(checkout)))
    assert keep_version("kept", "nothing new", NOW, checkout).new is False  # type: ignore[union-attr]
    status = git(checkout, "status", "--porcelain").splitlines()
    assert [line for line in status if "dvc.lock" not in line] == before[0].splitlines()
    assert git(checkout, "rev-parse", "HEAD") == before[1]
    assert "not committed" in git(checkout, "show", f"{kept[0][0]}:params.yaml")
    assert "notes.txt" not in git(checkout, "ls-tree", "--name-only", kept[0][0])

    git(checkout, "stash", "--include-untracked")
    for tag, then in kept:
        git(checkout, "checkout", "-q", tag)
        assert run("dvc", "checkout", "--force", f"data/1-raw/{SET}", cwd=checkout).returncode == 0
        assert raw(checkout) == then


def test_a_version_is_pushed_and_comes_back_in_a_fresh_clone(checkout: Path, tmp_path: Path) -> None:
    said: list[str] = []
    night(checkout, 4)
    assert keep_version("kept", "a night", NOW, checkout) is not None
    push_data(Operations(), said.append, checkout)  # no remote: nothing to do
    assert said == []
    assert not waiting(Operations(), checkout)
    assert run("dvc", "remote", "add", "--local", "-d", "store", f"{tmp_path}/store", cwd=checkout)
    assert waiting(Operations(), checkout) == ["the DVC remote"]
    for _ in range(2):
        push_data(Operations(), said.append, checkout)
    assert len(said) == 1
    assert not waiting(Operations(), checkout)
    clone = tmp_path / "clone"
    run("git", "clone", "-q", "-b", "kept", str(checkout), str(clone), cwd=tmp_path)
    (clone / ".dvc/config.local").write_text((checkout / ".dvc/config.local").read_text().replace("/site", "/site2"))
    pulled = run("dvc", "pull", f"data/1-raw/{SET}", cwd=clone)
    assert pulled.returncode == 0, pulled.stderr
    assert raw(clone) == raw(checkout)


def test_a_remote_that_refuses_is_one_sentence_and_the_next_run_pushes_again(checkout: Path, tmp_path: Path) -> None:
    night(checkout, 4)
    keep_version("kept", "a night", NOW, checkout)
    (tmp_path / "full").write_text("a file where a folder should be")
    run("dvc", "remote", "add", "--local", "-d", "store", f"{tmp_path}/full/store", cwd=checkout)
    with pytest.raises(BarenError, match="dvc push failed: "):
        push_data(Operations(), print, checkout)
    assert waiting(Operations(), checkout)
    (tmp_path / "full").unlink()
    push_data(Operations(), print, checkout)
    assert not waiting(Operations(), checkout)


def test_machines_that_publish_at_once_on_one_branch_lose_no_version(checkout: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "shared")
    shared = Operations(publish=f"{tmp_path}/shared")
    machines = [tmp_path / name for name in ("one", "two", "three")]
    for machine in machines:
        git(tmp_path, "clone", "-q", str(checkout), str(machine))
    said: list[str] = []

    def nightly(machine: Path) -> None:
        for number in range(2):  # all at the same moment
            (machine / "dvc.lock").write_text(f"stages: {{}} # {machine.name}, night {number}")
            assert keep_version("kept", "a night", NOW, machine) is not None
            publish(shared, said.append, machine)
            assert not [remote for remote in waiting(shared, machine) if "git" in remote]

    with ThreadPoolExecutor(len(machines)) as pool:
        list(pool.map(nightly, machines))
    tag, bare = "kept-20300101T030000Z", tmp_path / "shared"
    tags = [tag, *(f"{tag}-{number}" for number in range(2, 7))]
    assert git(bare, "tag").splitlines() == tags
    assert sorted(said) == [f"published on {shared.publish}: {name}" for name in tags]
    assert {git(bare, "show", f"{name}:dvc.lock") for name in tags} == {
        f"stages: {{}} # {machine.name}, night {number}" for machine in machines for number in range(2)
    }
    for name in tags:
        assert git(bare, "merge-base", name, "kept") == git(bare, "rev-parse", name)


def test_a_git_remote_that_is_not_there_is_one_sentence_and_the_next_run_publishes(
    checkout: Path, tmp_path: Path
) -> None:
    night(checkout, 2)
    keep_version("kept", "a night", NOW, checkout)
    shared = Operations(publish=f"{tmp_path}/shared")
    with pytest.raises(BarenError, match=r"git push failed: .*; the version is kept here") as refused:
        hand_on(shared, print, checkout)
    assert len(str(refused.value).splitlines()) == 1
    assert waiting(shared, checkout) == [f"the git remote {tmp_path}/shared"]
    git(tmp_path, "init", "-q", "--bare", "shared")
    hand_on(shared, print, checkout)
    assert git(tmp_path / "shared", "tag") == "kept-20300101T030000Z"


def test_a_detached_head_a_clock_that_jumps_and_the_users_own_branch(checkout: Path) -> None:
    night(checkout, 2)
    with pytest.raises(BarenError, match="versions need a branch of their own"):
        keep_version("main", "a night", NOW, checkout)
    git(checkout, "checkout", "-q", "--detach")
    first = keep_version("kept", "a night", NOW, checkout)
    night(checkout, 3)
    second = keep_version("kept", "the same moment again", NOW, checkout)
    night(checkout, 4)
    third = keep_version("kept", "a year before", NOW - timedelta(days=365), checkout)
    assert first is not None
    assert second is not None
    assert third is not None
    assert second.tag == f"{first.tag}-2"
    assert git(checkout, "log", "--format=%s", "kept").splitlines()[:3] == [
        "a year before", "the same moment again", "a night",
    ]  # fmt: skip


def test_without_git_or_without_a_branch_no_version_is_kept(checkout: Path) -> None:
    assert keep_version("", "a night", NOW, checkout) is None
    shutil.rmtree(checkout / ".git")
    assert keep_version("kept", "a night", NOW, checkout) is None


def test_operations_have_defaults_and_are_checked(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("pictures: {}")
    assert Operations.load(params).branch == "kept"
    params.write_text("operations: {branch: ''}")
    assert Operations.load(params).branch == ""
    params.write_text("operations: {twig: kept}")
    with pytest.raises(ParamsError, match=r"operations.twig is no setting; known there: branch"):
        Operations.load(params)

"""Versions: what a run made is committed on a branch of its own and tagged, so that it can be brought back.

    git checkout TAG && dvc checkout        (dvc pull first, on another machine)

Before that, commit what you changed or put it away (git stash -u): git does not write over a dvc.lock of yours.
Git's own plumbing writes the commit through an index of its own: the checked-out tree, dirty or not, its index and
its branch are never touched. A commit holds HEAD's tree with the present dvc.lock, dvc.yaml, params.yaml and curation.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tasks.errors import BarenError

MANY = 1000  # versions of one moment, which no clock that is well gives
MET = re.compile("but expected|already exists|File exists")  # what git says of a ref that another push holds
TRIES = 5  # against others who commit on the same branch at the same moment
FILES = ("dvc.lock", "dvc.yaml", "params.yaml")
PATIENCE = 600.0  # seconds that a git remote has to answer
# Nobody sits there at night to type a password.
UNATTENDED = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")}


@dataclass(frozen=True)
class Version:
    """A committed run; `new` is False where the branch already ended in exactly this."""

    commit: str
    tag: str
    new: bool


class Git:
    """The repository of the checkout `root`."""

    def __init__(self, root: Path = Path()) -> None:
        self._root = root

    def here(self) -> bool:
        """Whether `root` is the top of a git working tree."""
        top = self._run("rev-parse", "--show-toplevel", may_fail=True)
        return bool(top) and Path(top).resolve() == self._root.resolve()

    def commit_of(self, name: str) -> str:
        """The commit that `name` stands for; empty where there is none."""
        return self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", may_fail=True)

    def checked_out(self) -> str:
        """The name of the branch that is checked out; empty where HEAD is detached."""
        return self._run("symbolic-ref", "--short", "--quiet", "HEAD", may_fail=True)

    def show(self, commit: str, file: str) -> str:
        """A file as it was in a commit. Raises BarenError where it was not there."""
        return self._run("show", f"{commit}:{file}")

    def tags(self, pattern: str) -> list[str]:
        """One line a tag, the newest first: its name, the moment and the first line of its commit."""
        form = "%(refname:short)  %(creatordate:iso)  %(subject)"
        listed = self._run("for-each-ref", "--sort=-creatordate", f"--format={form}", f"refs/tags/{pattern}")
        return listed.splitlines()

    def files(self, commit: str) -> list[str]:
        """The names at the top of a commit's tree."""
        return self._run("ls-tree", "--name-only", commit).splitlines()

    def moments(self, pattern: str) -> list[tuple[str, datetime]]:
        """Each tag with its moment, the newest first."""
        form = "--format=%(refname:short) %(creatordate:iso-strict)"
        listed = self._run("for-each-ref", "--sort=-creatordate", form, f"refs/tags/{pattern}")
        return [(line.split()[0], datetime.fromisoformat(line.split()[1])) for line in listed.splitlines()]

    def names(self, pattern: str) -> list[str]:
        """The tags that match, or lie below, `pattern`."""
        return self._run("for-each-ref", "--format=%(refname:lstrip=2)", f"refs/tags/{pattern}").splitlines()

    def tags_between(self, old: str, new: str, pattern: str) -> list[str]:
        """The tags of the commits that `new` has and `old` (empty: none) has not."""
        without = [f"--no-merged={old}"] if old else []
        form = "--format=%(refname:lstrip=2)"
        return self._run("for-each-ref", form, f"--merged={new}", *without, f"refs/tags/{pattern}").splitlines()

    def forget(self, tags: list[str]) -> None:
        """Delete tags; their commits stay on the branch."""
        if tags:
            self._run("tag", "--delete", *tags)

    def push(self, remote: str, *refs: str) -> bool:
        """Push refs, or delete them there (":refs/tags/x"); False where the remote has others in their place.

        Raises BarenError where it cannot be reached or does not take them.
        """
        done = self._ask("push", "--porcelain", "--quiet", remote, *refs)
        refused = [line for line in done.stdout.splitlines() if line.startswith("!")]
        met = bool(MET.search(done.stderr))  # at the remote itself: another push was faster by a moment
        if refused and all("[rejected]" in line or (met and "failed to update ref" in line) for line in refused):
            return False
        if done.returncode:
            raise _failed("push", f"{done.stderr} {' '.join(refused)}")
        return True

    def fetch(self, remote: str, *refs: str) -> str:
        """Bring refs of `remote` here ("theirs:ours", either with a star); gives the commit of the first.

        Raises BarenError where it cannot be reached, or has no such ref.
        """
        self._run("fetch", "--quiet", "--no-tags", remote, *refs)
        return self.commit_of("FETCH_HEAD")

    def reach(self, remote: str) -> None:
        """Raise BarenError where a git remote does not answer."""
        self._run("ls-remote", "--quiet", remote, "HEAD")

    def parents(self, commit: str) -> list[str]:
        """The commits that a commit follows; none where it is empty."""
        return self._run("rev-parse", f"{commit}^@").splitlines() if commit else []

    def tree_with(self, base: str, files: list[Path]) -> str:
        """The tree of commit `base` (or an empty one) in which `files` are as they are on the disk now."""
        index = Path(self._run("rev-parse", "--git-dir"))
        index = (self._root / index / f"baren-index-{os.getpid()}").absolute()
        variables = {"GIT_INDEX_FILE": f"{index}"}
        try:
            self._run("read-tree", base or "--empty", variables=variables)
            for path in files:
                blob = self._run("hash-object", "-w", f"{path}")
                self._run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", variables=variables)
            return self._run("write-tree", variables=variables)
        finally:
            index.unlink(missing_ok=True)

    def tree_of(self, commit: str) -> str:
        """The tree of a commit."""
        return self._run("rev-parse", f"{commit}^{{tree}}")

    def is_ancestor(self, commit: str, of: str) -> bool:
        """Whether `of` has all that `commit` has."""
        return self._run("merge-base", "--is-ancestor", commit, of, may_fail=True, tell=True) == "0"

    def write_commit(self, tree: str, parents: list[str], message: str, when: datetime) -> str:
        """A new commit, on no branch yet; signed with git's configured name, or ours where there is none."""
        who = {"NAME": "baren", "EMAIL": "baren@localhost"}
        known = bool(self._run("config", "user.email", may_fail=True))
        variables = {f"GIT_{role}_DATE": when.isoformat() for role in ("AUTHOR", "COMMITTER")}
        if not known:
            variables |= {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
        named = [word for parent in parents for word in ("-p", parent)]
        return self._run("commit-tree", tree, *named, "-m", message, variables=variables)

    def move(self, ref: str, commit: str, was: str) -> bool:
        """Point `ref` at `commit` if it still points at `was` (empty: if it is not there yet); False where not."""
        return self._run("update-ref", ref, commit, was or "0" * 40, may_fail=True, tell=True) == "0"

    def _run(
        self, *command: str, variables: dict[str, str] | None = None, may_fail: bool = False, tell: bool = False
    ) -> str:
        """What git says; with `may_fail` empty where it fails, with `tell` its exit code instead."""
        try:
            done = self._ask(*command, variables=variables)
        except BarenError:
            if may_fail:
                return ""
            raise
        if done.returncode and not may_fail:
            raise _failed(command[0], done.stderr)
        return f"{done.returncode}" if tell else "" if done.returncode else done.stdout.strip()

    def _ask(self, *command: str, variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                ["git", *command], cwd=self._root, env={**os.environ, **UNATTENDED, **(variables or {})},
                capture_output=True, text=True, check=False, timeout=PATIENCE, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise BarenError("git is not installed; install it, or set operations.branch to ''") from error
        except subprocess.TimeoutExpired as error:
            raise BarenError(
                f"git {command[0]} was given up after {PATIENCE / 60:g} minutes; is its remote well?"
            ) from error


def _failed(command: str, said: str) -> BarenError:
    return BarenError(f"git {command} failed: {' '.join(said.split())}")


def keep_version(branch: str, what: str, now: datetime, root: Path = Path()) -> Version | None:
    """Commit the present state on `branch` and tag it; `what` is the commit's first line. None where there is no git.

    Raises BarenError where `branch` is the one that is checked out, or git refuses.
    """
    git = Git(root)
    if not branch or not git.here() or not (root / "dvc.lock").exists():
        return None
    if git.checked_out() == branch:
        raise BarenError(
            f"operations.branch is {branch!r}, the branch that is checked out here; versions need a branch of their "
            "own, so that your files are never changed: name another in params.yaml"
        )
    ref = f"refs/heads/{branch}"
    curation = sorted((root / "curation").glob("*.csv"))
    files = [Path(name) for name in FILES if (root / name).exists()] + [path.relative_to(root) for path in curation]
    for _ in range(TRIES):
        tip, head = git.commit_of(ref), git.commit_of("HEAD")
        tree = git.tree_with(head, files)
        if tip and git.tree_of(tip) == tree:
            return Version(tip, "", new=False)
        parents = [tip] if tip else []
        if head and (not tip or not git.is_ancestor(head, tip)):
            parents.append(head)
        commit = git.write_commit(tree, parents, what, now)
        if git.move(ref, commit, tip):
            return Version(commit, _name(git, f"{branch}-{now:%Y%m%dT%H%M%SZ}", commit), new=True)
    raise BarenError(f"others keep committing on {branch!r}; run it again, or name another branch for this machine")


def _name(git: Git, moment: str, commit: str) -> str:
    """Tag the commit by its moment; by the next free number too, where that has a tag (a clock that jumped)."""
    for number in range(1, MANY):
        tag = moment if number == 1 else f"{moment}-{number}"
        if git.move(f"refs/tags/{tag}", commit, ""):
            return tag
    raise many(moment)


def many(moment: str) -> BarenError:
    """What is said where one moment has too many versions."""
    return BarenError(f"a thousand versions are tagged {moment}; set the machine's clock")

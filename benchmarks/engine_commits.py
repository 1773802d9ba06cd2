"""The code of an earlier commit, in a folder of its own, for engine.py; the working tree and git's own files stay."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

from engine_runs import Code, EngineRunError

from acdc.wording import quoted

#: The checkout that this file is in.
ROOT = Path(__file__).resolve().parents[1]


def earlier(commit: str, scratch: Path, root: Path = ROOT) -> Code:
    """Unpack what a commit holds.

    Args:
        commit: whatever git takes for one.
        scratch: an empty folder for it.
        root: a checkout of the repository.

    Raises:
        EngineRunError: there is no such commit, or this is no checkout; says which.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        raise EngineRunError(f"{root} isn't a git checkout, which `against` needs: it compares with a commit of it.")
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if not found:
        raise EngineRunError(f"{root} has no commit {quoted(commit)}; `git log` lists those that there are.")
    archive, checkout = scratch / "commit.zip", scratch / "commit"
    if _git(root, "archive", "--format=zip", f"--output={archive}", found) is None:
        raise EngineRunError(f"git can't unpack the commit {commit} of {root}; see `git archive {found}`.")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(checkout)
    if not (checkout / "acdc" / "__init__.py").exists():
        raise EngineRunError(f"the commit {commit} has no package acdc; choose a later one.")
    tasks = checkout / "tasks"
    if tasks.exists() and not (checkout / "acdc" / "tasks").exists():
        tasks.rename(checkout / "acdc" / "tasks")  # where it is installed
    return Code(found[:7], checkout)


def _git(root: Path, *words: str) -> str | None:
    """What git says; ``None`` where it refuses."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        raise EngineRunError("git isn't installed, which `against` needs.") from None
    return None if done.returncode else done.stdout.strip()

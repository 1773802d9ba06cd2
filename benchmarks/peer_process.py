"""Peers in an environment and in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from tqdm import tqdm

from acdc.cli.printing import say
from acdc.errors import AcdcError

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "peers-requirements.txt"
#: A file in an environment that this script made: what it was made from.
STAMP = "acdc-peers"
#: For AutoCircuit, which asks for the same large pieces of memory at every edge: glibc is to keep them.
#: Otherwise what it does before the first edge takes twice as long on GPT-2's shape.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"}


class PeerError(AcdcError):
    """A peer can't be installed, or it fails."""


def environment(venv: Path) -> Path:
    """The peers' Python, in an environment that is made if it isn't there.

    One that somebody else made is used as it is.

    Raises:
        PeerError: it can't be made; says why.
    """
    python, stamp = venv / "bin" / "python", venv / STAMP
    made_from = f"{sha256(REQUIREMENTS.read_bytes()).hexdigest()} {sys.version}"
    try:
        if stamp.exists():
            if stamp.read_text() == made_from and python.exists():
                return python
        elif python.exists():
            return python
        elif venv.exists() and any(venv.iterdir()):
            raise PeerError(f"{venv} is there already and isn't a virtual environment; choose another --venv.")
        say(f"Setting up {venv} for the peers (a few minutes the first time, 2 GB) ...", err=True)
        venv.mkdir(parents=True, exist_ok=True)
        stamp.write_text("unfinished")
        _call(sys.executable, "-I", "-m", "venv", str(venv))  # isolated from where it is called
        _call(str(python), "-I", "-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS))
        stamp.write_text(made_from)
    except OSError as error:
        raise PeerError(f"{error.filename}: {error.strerror}.") from error
    return python


def _call(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise PeerError(last_line("\n".join(errors) or done.stderr, done.returncode))


def run_peer(
    python: Path,
    script: str,
    job: dict[str, Any],
    scratch: Path,
    *,
    title: str,
    unit: str,
    total: int,
    settings: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a script of this folder with a bar; give its result.

    Args:
        python: of its environment.
        script: the file's name.
        job: what it is to do, see there.
        scratch: a folder for the job and the result.
        title: what the bar is called.
        unit: what it counts: the script prints a line of it for each.
        total: how many there will be.
        settings: further environment variables.

    Raises:
        PeerError: it fails; says why.
    """
    job_file, result_file = scratch / "job.json", scratch / "result.json"
    result_file.unlink(missing_ok=True)  # of a script before it
    job_file.write_text(json.dumps({**job, "result": str(result_file)}))
    # Isolated: with this folder or the user's packages on its path, it could import others' modules.
    command = [str(python), "-I", str(HERE / script), str(job_file)]
    threads = {"OMP_NUM_THREADS": str(job["threads"])}
    environ = {**os.environ, **(settings or {}), **threads, "HF_HUB_OFFLINE": "1"}
    pause = 0.1 if sys.stderr.isatty() else 10  # in a log file, a line every ten seconds is enough
    try:
        with (
            tempfile.TemporaryFile("w+") as errors,
            tqdm(total=total, unit=unit, desc=title, dynamic_ncols=True, leave=False, mininterval=pause) as bar,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environ, text=True) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                bar.update(line.strip() == unit)
            if process.wait():
                errors.seek(0)
                raise PeerError(last_line(errors.read(), process.returncode))
        return json.loads(result_file.read_text())
    except OSError as error:
        raise PeerError(f"{error.filename}: {error.strerror}.") from error


def last_line(text: str, code: int) -> str:
    """Where programs say why they ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"it ended with code {code} and no message."

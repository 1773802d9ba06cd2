"""AutoCircuit in an environment and a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
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
    """AutoCircuit can't be installed, or it fails."""


def environment(venv: Path) -> Path:
    """AutoCircuit's Python, in an environment that is made if it isn't there.

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
        say(f"Setting up {venv} for AutoCircuit (a few minutes the first time, 2 GB) ...", err=True)
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
        raise PeerError(_last_line("\n".join(errors) or done.stderr, done.returncode))


def run_peer(python: Path, job: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Run ``peer_autocircuit.py`` with a bar; give its result.

    Args:
        python: of its environment.
        job: what it is to do, see there; without an order of the edges, it tries as many as in the longest.
        scratch: a folder for the job and the result.

    Raises:
        PeerError: it fails; says why.
    """
    job_file, result_file = scratch / "job.json", scratch / "result.json"
    job_file.write_text(json.dumps({**job, "result": str(result_file)}))
    given = [order for order in job["runs"].values() if order is not None]
    total = sum(map(len, given)) + (len(job["runs"]) - len(given)) * max(map(len, given))
    # Isolated: with this folder or the user's packages on its path, it could import others' modules.
    command = [str(python), "-I", str(HERE / "peer_autocircuit.py"), str(job_file)]
    threads = {"OMP_NUM_THREADS": str(job["threads"])}
    settings = {**os.environ, **KEEP_MEMORY, **threads, "HF_HUB_OFFLINE": "1"}
    pause = 0.1 if sys.stderr.isatty() else 10  # in a log file, a line every ten seconds is enough
    try:
        with (
            tempfile.TemporaryFile("w+") as errors,
            tqdm(
                total=total, unit="edge", desc="AutoCircuit", dynamic_ncols=True, leave=False, mininterval=pause
            ) as bar,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=settings, text=True) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                bar.update(line.strip() == "edge")
            if process.wait():
                errors.seek(0)
                raise PeerError(_last_line(errors.read(), process.returncode))
        return json.loads(result_file.read_text())
    except OSError as error:
        raise PeerError(f"{error.filename}: {error.strerror}.") from error


def _last_line(text: str, code: int) -> str:
    """Where programs say why they ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"it ended with code {code} and no message."

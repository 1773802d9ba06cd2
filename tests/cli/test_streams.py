"""Readers that go away, full disks and closed streams: the run outlives them, and the exit code is true."""

import os
import subprocess
import sys

import pytest
from tiny import pairs, write_pairs

from acdc.circuit import Circuit

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these are a POSIX shell's streams")
WRITTEN = {"circuit.json", "circuit.svg", "circuit.png", "run.json", "trace.jsonl"}


@pytest.fixture(autouse=True)
def _buffered(monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


def shell(line, folder, *words):
    """Run a line of a shell, in which ``acdc`` is the command; the exit code is the command's."""
    script = f'set -o pipefail; acdc() {{ "{sys.executable}" -m acdc "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", script, "bash", *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def discover(gpt2_folder, tmp_path):
    """``acdc discover`` with its streams as a shell has them; gives the folder and what was said."""
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(8))

    def discover(streams):
        done = shell(f'acdc discover "$1" --model "$2" --n 4 --out run {streams}', tmp_path, task, gpt2_folder)
        return done, {path.name for path in (tmp_path / "run").iterdir()}

    return discover


@pytest.mark.parametrize("streams", ["| true", "2>&1 | head -n 1"])
def test_a_run_is_written_whole_whoever_stops_reading(discover, tmp_path, streams):
    done, written = discover(streams)
    assert done.returncode == 0, done.stderr
    assert written == WRITTEN
    assert Circuit.load(tmp_path / "run" / "circuit.json").n_edges
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("streams", ["<&- >&- 2>&-", "2>/dev/full"])
def test_a_closed_stream_is_no_file_of_the_run(discover, tmp_path, streams):
    done, written = discover(streams)
    assert done.returncode == 0
    assert written == WRITTEN
    for path in (tmp_path / "run").iterdir():
        assert b"prompt pairs" not in path.read_bytes()
        assert b"edges" not in (tmp_path / "run" / "trace.jsonl").read_bytes()
    Circuit.load(tmp_path / "run" / "circuit.json")


@pytest.mark.parametrize("command", ["show RUN", "show RUN --csv", "--help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_enough_ends_a_command_quietly(finished, tmp_path, command, unbuffered, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    done = shell(f"acdc {command.replace('RUN', '$1')} | true", tmp_path, finished)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["show RUN", "show RUN --json", "tasks"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full disk to try")  # noqa: PTH110
def test_what_can_not_be_written_to_a_full_disk_is_an_error(finished, tmp_path, command):
    done = shell(f"acdc {command.replace('RUN', '$1')} > /dev/full", tmp_path, finished)
    assert (done.returncode, done.stderr) == (2, "acdc: stdout: No space left on device.\n")


def test_an_error_that_can_not_be_said_is_still_an_exit_code(tmp_path):
    for streams in ("2>&-", "2>/dev/full", "2>&1 | true"):
        assert shell(f"acdc show nowhere {streams}", tmp_path).returncode == 2

"""Running the command, well and badly."""

import json
import signal
import sys
from pathlib import Path

import pytest
from tiny import pairs, write_pairs

import acdc.discovery.discover
from acdc.cli.main import main
from acdc.runs.trace import TraceWriter


@pytest.hookimpl(tryfirst=True)  # the mark is read behind it
def pytest_collection_modifyitems(items):
    """What a test prepares in Python; the command prints our warnings whatever the filters."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.random_models)


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run the command in an empty folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["acdc", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def refused(call, tmp_path):
    """Run a command that must fail: gives its one sentence, and checks that it left nothing behind."""

    def refused(*args):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        folders = {path for path in tmp_path.rglob("*") if path.is_dir()}
        code, _, err = call(*args)
        lines = [line for line in err.splitlines() if line]
        assert code == 2, err
        assert "Traceback" not in err
        assert lines[-1].startswith("acdc: ")
        assert [line for line in lines if line.startswith("acdc: ") and "warning: " not in line] == lines[-1:]
        assert lines[-1].endswith((".", "?", "?)")), lines[-1]
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
        assert {path for path in tmp_path.rglob("*") if path.is_dir()} == folders
        return lines[-1].removeprefix("acdc: ")

    return refused


@pytest.fixture
def file(tmp_path):
    """A prompt file in the working directory, of some lines; a dict becomes JSON."""

    def file(*lines, name="pairs.jsonl"):
        text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        (tmp_path / name).write_text("\n".join(text) + "\n")
        return name

    return file


@pytest.fixture
def discover(refused, gpt2_folder, tmp_path):
    """``acdc discover`` on the tiny GPT-2, where it must fail."""

    def discover(task, *options, model=gpt2_folder):
        return refused("discover", task, "--model", model, "--out", "out", *options)

    return discover


@pytest.fixture(scope="session")
def finished(gpt2_folder, tmp_path_factory):
    """A finished run's folder, which no test changes."""
    folder = tmp_path_factory.mktemp("finished")
    task = write_pairs(folder / "pairs.jsonl", pairs(8))
    acdc.discovery.discover.discover(gpt2_folder, task, n=4, threshold=0.01, out=folder / "run", progress=False)
    return folder / "run"


@pytest.fixture
def interrupted(call, monkeypatch):
    """A command that Ctrl-C ends after ten decisions; gives what was said."""

    def interrupted(*args):
        append, count = TraceWriter.append, []

        def counting(writer, decision):
            append(writer, decision)
            count.append(decision)
            if len(count) == 10:
                signal.raise_signal(signal.SIGINT)

        with monkeypatch.context() as patched:
            patched.setattr(TraceWriter, "append", counting)
            code, _, err = call(*args)
        assert code == 130, err
        assert "Traceback" not in err
        return err

    return interrupted

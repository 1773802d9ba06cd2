"""A finished run is recognised before any work is done; what can't be known unopened is told by the hashes."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import gpt2, pairs, save_gpt2, write_pairs

import acdc
from acdc import discover
from acdc.errors import RunFolderError
from acdc.models.bridge import BridgeReader
from acdc.pairs import PromptPair

SETTINGS = {"model": "model", "task": "pairs.jsonl", "n": 4, "threshold": 0.05, "progress": False}
pytestmark = pytest.mark.random_models


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A model's folder, a prompt file and a finished run, which no test changes."""
    folder = tmp_path_factory.mktemp("place")
    save_gpt2(folder / "model", with_tokenizer=True)
    write_pairs(folder / "pairs.jsonl", pairs(8))
    long_ago = time.time() - 1000
    for file in (folder / "pairs.jsonl", *(folder / "model").iterdir()):
        os.utime(file, (long_ago, long_ago))
    before = Path.cwd()
    os.chdir(folder)
    discover(**SETTINGS, out="run")
    os.chdir(before)
    return folder


@pytest.fixture(autouse=True)
def copy(place, tmp_path, monkeypatch):
    """A copy of it, with the times of the files, in which a test is and may change what it likes."""
    monkeypatch.chdir(shutil.copytree(place, tmp_path / "place"))
    return Path.cwd()


@pytest.fixture
def unopened(monkeypatch):
    """From here on, opening a model is a failure."""
    monkeypatch.setattr("acdc.discovery.setting_up.load_model", lambda *_, **__: pytest.fail("the model was opened"))


@pytest.fixture
def opened(monkeypatch):
    """Counts the models that are opened."""
    count, load = [], acdc.load_model
    monkeypatch.setattr("acdc.discovery.setting_up.load_model", lambda *a, **k: count.append(a) or load(*a, **k))
    return count


def again(**options):
    return discover(**SETTINGS | options, out="run", resume=True)


def test_the_same_request_is_handed_back_unopened(copy, unopened):
    before = {path.name: path.read_bytes() for path in (copy / "run").iterdir()}
    said = []
    run = again(announce=said.append)
    assert run.record == acdc.Run.load(copy / "run").record
    assert said == ["the run in run is finished already"]
    assert {path.name: path.read_bytes() for path in (copy / "run").iterdir()} == before


@pytest.mark.parametrize(
    "options",
    [
        {"n": None},  # of a file of eight, four of which were used: not what was asked
        {"metric": lambda circuit, model, answers: (circuit - model).square().mean(-1)},
    ],
)
def test_what_was_not_asked_is_not_handed_back(options):
    with pytest.raises(RunFolderError, match="with other settings"):
        again(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 0.1}, "threshold was 0.05 and is 0.1"),
        ({"order": "random"}, "order was 'default' and is 'random'"),
        ({"dtype": "float64"}, "dtype was 'float32' and is 'float64'"),
        ({"model": "gpt2"}, "model was"),
        ({"metric": "l2", "seed": 4}, "metric was 'kl' and is 'l2'; seed was 0 and is 4"),
        ({"skip_bad_pairs": True}, "skip_bad_pairs was False and is True"),
    ],
)
def test_another_request_is_refused_unopened(copy, unopened, options, said):
    with pytest.raises(RunFolderError) as caught:
        again(**options)
    assert said in str(caught.value)


@pytest.mark.parametrize("options", [{"engine": "reference"}, {"batch_size": 2}, {"threads": 1}, {"device": "cpu"}])
def test_how_it_is_computed_is_free(copy, unopened, options):
    assert again(**options).record.finished


def test_other_prompts_in_the_file_are_told_by_its_hash_whatever_its_time(copy):
    stamp = (copy / "pairs.jsonl").stat().st_mtime
    write_pairs(copy / "pairs.jsonl", pairs(8, seed=1))
    os.utime(copy / "pairs.jsonl", (stamp, stamp))
    with pytest.raises(RunFolderError, match="the data changed"):
        again()


def test_a_file_that_is_written_otherwise_but_says_the_same_is_the_same(copy, opened):
    text = (copy / "pairs.jsonl").read_text()
    (copy / "pairs.jsonl").write_text(text.replace("\n", "\n\n"))
    assert again().record.finished
    assert len(opened) == 1  # to see whether the tokens are the same


def test_a_model_folder_that_was_changed_since_is_opened(copy, opened):
    os.utime(copy / "model" / "config.json")
    assert acdc.Run.load(copy / "run").record.started
    os.utime(copy / "model" / "config.json", (time.time() + 100, time.time() + 100))
    assert again().record.finished
    assert len(opened) == 1
    save_gpt2(copy / "model", with_tokenizer=True, seed=5)
    for file in (copy / "model").iterdir():
        os.utime(file, (time.time() + 100, time.time() + 100))
    with pytest.raises(RunFolderError, match="the model changed"):
        again()


def test_an_open_model_is_told_by_its_own_hash(copy, monkeypatch):
    model = acdc.load_model("model")
    with monkeypatch.context() as patched:
        patched.setattr("acdc.discovery.setting_up.prepare", lambda *_, **__: pytest.fail("prompts were run"))
        assert again(model=model).record.finished
    other = acdc.load_model(save_gpt2(copy / "other", seed=5, with_tokenizer=True))
    other.name = model.name
    with pytest.raises(RunFolderError, match="the model changed"):
        again(model=other)
    with pytest.raises(acdc.AcdcError, match="the model is open already"):
        again(model=model, dtype="float32")


def test_an_open_model_is_hashed_once_a_run(copy, monkeypatch):
    hashed, hash_of = [], BridgeReader.sha256
    monkeypatch.setattr(BridgeReader, "sha256", lambda reader: hashed.append(reader) or hash_of(reader))
    discover(**SETTINGS | {"model": acdc.load_model("model")}, out="new")
    assert len(hashed) == 1


def test_models_and_pairs_in_memory_are_told_by_their_hashes(tmp_path):
    given = [
        PromptPair(tuple(row["clean_tokens"]), tuple(row["corrupted_tokens"]), ((row["answer_token"],),))
        for row in pairs(6)
    ]
    options = {"n": 3, "threshold": 0.1, "progress": False, "out": tmp_path / "run", "resume": True}
    first = discover(gpt2(), given, **options)
    assert discover(gpt2(), given, **options).record == first.record
    with pytest.raises(RunFolderError, match="the data changed"):
        discover(gpt2(), given[::-1][:4] + given[:2], **options)
    with pytest.raises(RunFolderError, match="the model changed"):
        discover(gpt2(seed=1), given, **options)


def test_a_run_of_an_older_version_is_told_by_its_hashes(copy, opened):
    record = json.loads((copy / "run" / "run.json").read_text())
    for name in ("task_sha256", "fingerprint", "trace", "circuit", "verdict"):
        del record[name]
    (copy / "run" / "run.json").write_text(json.dumps(record))
    assert again().record.finished
    assert len(opened) == 1


def test_a_damaged_finished_run_is_not_handed_back(copy, unopened):
    lines = (copy / "run" / "trace.jsonl").read_text().splitlines(keepends=True)
    (copy / "run" / "trace.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(RunFolderError, match="it ends"):
        again()


def test_an_unfinished_run_is_gone_on_with_and_not_handed_back(copy, opened):
    record = json.loads((copy / "run" / "run.json").read_text())
    (copy / "run" / "run.json").write_text(json.dumps(record | {"status": "running"}))
    assert again().record.finished
    assert len(opened) == 1


@pytest.mark.parametrize("command", [("resume", "run"), ("discover", "pairs.jsonl", "--resume")])
def test_the_command_hands_it_back_without_torch(copy, command):
    asked = () if command[0] == "resume" else ("--model", "model", "--n", "4", "--threshold", "0.05", "--out", "run")
    code = (
        "import sys, acdc.cli.main as main\n"
        f"sys.argv = ['acdc', *{command!r}, *{asked!r}]\n"
        "try:\n    main.main()\n"
        "except SystemExit as end:\n    sys.exit(end.code or 7 * ('torch' in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "the run in run is finished already" in done.stderr
    assert "edges" in done.stdout

"""Damaged files of every kind: an error of ours, or a right result; in bounded time and memory.

Seeded, so that a failure comes again. A failure names the case: its number is what the file
is made from.
"""

import contextlib
import csv
import io
import json
import random
import shutil
import sys
import warnings

import numpy as np
import pytest
import tiny

from acdc import Circuit, Run, discover, export_circuit, find_task, load_model
from acdc.cli.tables import print_circuit, print_summary
from acdc.errors import AcdcError

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded by Linux' limits"),
    pytest.mark.filterwarnings("ignore::acdc.AcdcWarning"),
]
if sys.platform == "linux":
    from mutations import NUMBERS, TooMuchError, bounded, damaged_bytes, damaged_json, each_key

VOCAB = 18
TEXT = [
    {
        "clean": "Mary met John. John saw",
        "corrupted": "Mary met John. Ann saw",
        "answer": " Mary",
        "wrong_answer": " Ann",
    },
    {
        "clean": "Ann saw Mary. Mary met",
        "corrupted": "Ann saw Mary. John met",
        "answer": [" Ann"],
        "answer_position": -1,
    },
]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run of a small toy model, which no test changes."""
    folder = tmp_path_factory.mktemp("fuzz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load_model(tiny.save_toy(folder / "toy"))
        task = tiny.write_pairs(folder / "pairs.jsonl", tiny.pairs(6))
        discover(model, task, n=3, threshold=0.01, out=folder / "run", progress=False)
    return folder / "run"


def survives(cases, attempt, *, seconds=10, gigabytes=1.0):
    """Run every case; fails with what was neither a right result nor an error of ours.

    Returns:
        How many gave a result.
    """
    wrong, right = [], 0
    for name, case in cases:
        try:
            with bounded(seconds, gigabytes), contextlib.redirect_stdout(io.StringIO()) as said:
                attempt(case)
            right += 1
            assert not set(said.getvalue()) & set("\x00\x1b\x07\u202e"), "control characters were printed"
        except AcdcError as error:
            text = str(error)
            if not 0 < len(text) < 5_000 or "\n" in text:
                wrong.append(f"case {name}: a message of {len(text)} characters: {text[:80]!r}")
        except (Exception, TooMuchError) as error:
            wrong.append(f"case {name}: {type(error).__name__}: {str(error)[:150]}")
    assert not wrong, f"{len(wrong)} of {len(cases)} cases:\n" + "\n".join(wrong[:40])
    return right


def damaged(seed, n, content, data=None):
    """`n` damaged versions of a file: bytes, or where there is parsed JSON mostly that; by name."""
    out = []
    for i in range(n):
        rng = random.Random(f"{seed} {i}")
        as_bytes = data is None or i % 3 == 0
        out.append((f"{seed} {i}", damaged_bytes(rng, content) if as_bytes else damaged_json(rng, data)))
    return out


def same(one, other):
    return (
        one.graph == other.graph
        and np.array_equal(one.in_graph, other.in_graph)
        and np.array_equal(one.scores, other.scores, equal_nan=True)
        and repr(one.found) == repr(other.found)
    )


def test_circuits(run_folder, tmp_path):
    content = (run_folder / "circuit.json").read_bytes()

    def attempt(case):
        (tmp_path / "circuit.json").write_bytes(case)
        circuit = Circuit.load(tmp_path / "circuit.json")
        edges = json.loads(case.decode("utf-8"))["edges"]
        assert {edge.name for edge in circuit.edges()} == {name for name, edge in edges.items() if edge["in_graph"]}
        circuit.save(tmp_path / "again.json")
        again = Circuit.load(tmp_path / "again.json")
        finite = np.where(np.isfinite(circuit.scores), circuit.scores, np.nan)  # JSON has no infinity
        assert same(Circuit(circuit.graph, circuit.in_graph, finite, circuit.found), again)
        export_circuit(circuit, ("dot", "graphml", "html-table")[len(case) % 3], tmp_path / "out")
        print_circuit(circuit)

    cases = damaged("circuit", 240, content, json.loads(content))
    cases += each_key(json.loads(content), "cfg", NUMBERS)
    cases += each_key(json.loads(content), "found", NUMBERS)
    assert survives([("whole", content)], attempt) == 1
    assert survives(cases, attempt) > 10


@pytest.mark.parametrize("name", ["run.json", "trace.jsonl", "circuit.json"])
def test_run_folders(run_folder, tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    content = (folder / name).read_bytes()

    def attempt(case):
        (folder / name).write_bytes(case)
        run = Run.load(folder)
        assert run.record.status == "finished"
        assert all(type(decision.kept) is bool for decision in run.decisions)
        print_summary(run)
        print_circuit(run.circuit)

    data = None if name == "trace.jsonl" else json.loads(content)
    cases = damaged(name, 250, content, data)
    if name == "run.json":
        cases += each_key(data, None, NUMBERS)
        cases += each_key(data, "request", NUMBERS)
    if name == "trace.jsonl":
        lines = content.decode().splitlines()
        for i in range(250):
            rng = random.Random(f"line {i}")
            at = rng.randrange(len(lines))
            made = [line.encode() for line in lines]
            made[at] = rng.choice((damaged_json(rng, json.loads(lines[at])), made[rng.randrange(len(lines))], b""))
            cases.append((f"line {i}", b"\n".join(made) + b"\n"))
    assert survives([("whole", content)], attempt) == 1
    survives(cases, attempt)


def check_prompts(prompts, vocab):
    """What holds of every set of prompts, whatever the file."""
    assert len(prompts) > 0
    for pair in prompts.pairs:
        assert len(pair.clean) == len(pair.corrupted) > 0
        assert all(type(token) is int and 0 <= token < vocab for token in pair.clean + pair.corrupted)
        assert list(pair.answer_positions) == sorted(set(pair.answer_positions))
        assert all(0 <= position < len(pair.clean) for position in pair.answer_positions)
        for answers in (pair.answers, pair.wrong_answers):
            assert len(answers) in (0, len(pair.answer_positions))
            assert all(group and all(type(token) is int and 0 <= token < vocab for token in group) for group in answers)


def as_csv(rows):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["clean", "corrupted", "correct_idx", "incorrect_idx"])
    writer.writerows([row["clean"], row["corrupted"], "[1]", "3"] for row in rows)
    return out.getvalue().encode()


def lines_of(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("suffix", "rows"),
    [("jsonl", tiny.pairs(3)), ("jsonl", TEXT), ("csv", TEXT), ("json", tiny.pairs(3)), ("json", TEXT)],
    ids=["ids", "text", "csv", "array-of-ids", "array-of-text"],
)
def test_prompt_files(tmp_path, suffix, rows, request):
    path = tmp_path / f"pairs.{suffix}"
    words = tiny.tokenizer()
    content = {"csv": as_csv, "jsonl": lines_of, "json": lambda rows: json.dumps(rows).encode()}[suffix](rows)

    def attempt(case):
        path.write_bytes(case)
        prompts = find_task(path).prompts(words, vocab_size=VOCAB, n_outputs=VOCAB, max_length=64)
        check_prompts(prompts, VOCAB)
        if suffix == "jsonl":
            read = [json.loads(line) for line in io.StringIO(case.decode("utf-8-sig"), newline="") if line.strip()]
            if all("clean_tokens" in row for row in read):  # in any order
                assert sorted(map(list, (pair.clean for pair in prompts.pairs))) == sorted(
                    row["clean_tokens"] for row in read
                )

    name = request.node.callspec.id
    cases = damaged(name, 200, content, rows if suffix == "json" else None)
    if suffix == "jsonl":
        for i in range(200):
            rng = random.Random(f"{name} line {i}")
            made = [damaged_json(rng, row) if rng.random() < 0.6 else json.dumps(row).encode() for row in rows]
            cases.append((f"{name} line {i}", b"\n".join(made)))
    if suffix == "csv":
        cells = [row.split(b",") for row in content.splitlines()]
        for i in range(200):
            rng = random.Random(f"{name} cell {i}")
            made = [list(row) for row in cells]
            row = rng.choice(made)
            row[rng.randrange(len(row))] = damaged_json(rng, rng.choice(["Mary", 3, [1, 2], 2.5]))
            cases.append((f"{name} cell {i}", b"\r\n".join(b",".join(row) for row in made)))
    if suffix != "json":
        assert survives([("whole", content)], attempt) == 1
    survives(cases, attempt)


@pytest.mark.parametrize("kind", ["toy", "toy-with-mlp", "gpt2"])
def test_model_folders(tmp_path, gpt2_folder, kind):
    folder = tmp_path / "model"
    if kind == "gpt2":
        shutil.copytree(gpt2_folder, folder)
    else:
        mlp = {"attn_only": False, "d_mlp": 12, "act_fn": "relu", "normalization_type": "LN"}
        tiny.save_toy(folder, **(mlp if kind == "toy-with-mlp" else {}))
        if kind == "toy-with-mlp":
            config = json.loads((folder / "config.json").read_text())
            config["model_config"]["normalization_type"] = None
            (folder / "config.json").write_text(json.dumps(config))
    files = {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
    config = json.loads(files["config.json"])

    def attempt(case):
        name, content = case
        for other, whole in files.items():
            (folder / other).write_bytes(content if other == name else whole)
        cfg = load_model(folder).graph_config
        assert 1 <= cfg.n_layers <= 2
        assert 1 <= cfg.n_heads <= 16

    cases = [
        (name, ("config.json", case)) for name, case in damaged(f"{kind} config", 40, files["config.json"], config)
    ]
    if kind == "toy":
        cases += [(name, ("config.json", case)) for name, case in each_key(config, "model_config", NUMBERS)]
    header = 300  # what is behind it are weights: any bytes are some
    cases += [
        (name, ("model.safetensors", case + files["model.safetensors"][header:]))
        for name, case in damaged(f"{kind} weights", 12, files["model.safetensors"][:header])
    ]
    assert survives([("whole", ("config.json", files["config.json"]))], attempt) == 1
    survives(cases, attempt, seconds=30, gigabytes=2.0)

"""Submissions to MIB: exactly nine circuits or one file of importances, in folders whose names are MIB's."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from eap_ig_reader import read_json, read_pt

from acdc import Circuit, Graph, Provenance
from acdc.errors import AcdcWarning, CircuitFileError, RunFolderError, SettingsError, UnknownNameError
from acdc.export import mib
from acdc.export.mib import SHARES, mib_name, name_of, write_submission
from acdc.graphconfig import GraphConfig
from acdc.interchange import read_submission

#: A graph of MIB's size takes seconds to write nine times.
SMALL = {"gpt2": GraphConfig(5, 6, 8), "llama3": GraphConfig(5, 5, 8)}
GRAPH = Graph(SMALL["gpt2"])
SIZES = [int(share * GRAPH.n_edges) for share in SHARES]


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    for name, cfg in SMALL.items():
        monkeypatch.setitem(mib.MODELS, name, cfg)


def scored(graph=GRAPH, seed=0):
    return Circuit(
        graph, np.zeros(graph.n_edges, dtype=bool), np.random.default_rng(seed).permutation(graph.n_edges) + 1.0
    )


def nine(graph=GRAPH, less=0):
    """Of the largest size that each may have, or `less` edges fewer."""
    draws = np.random.default_rng(1)
    found = []
    for share in SHARES:
        mask = np.zeros(graph.n_edges, dtype=bool)
        mask[draws.permutation(graph.n_edges)[: max(1, int(share * graph.n_edges) - less)]] = True
        found.append(Circuit(graph, mask, draws.standard_normal(graph.n_edges)))
    return found


def as_stored(circuit):
    return circuit.scores.astype(np.float32)


@pytest.mark.parametrize("ending", [".json", ".pt"])
def test_what_is_written_is_read_back_and_theirs_to_read(tmp_path, ending):
    circuits, llama = nine(), scored(Graph(SMALL["llama3"]))
    given = {"ioi_gpt2": circuits[::-1], "arc_easy_llama3": [llama]}
    written = write_submission(tmp_path / "mine", given, ending)
    assert [str(path.relative_to(tmp_path / "mine")) for path in written] == [
        *(f"ioi_gpt2/{100 * share:g}-percent{ending}" for share in SHARES),
        f"arc-easy_llama3/importances{ending}",
    ]
    (tmp_path / "mine" / "README.md").write_text("mine")
    (tmp_path / "mine" / "ioi_gpt2" / "notes.txt").write_text("mine")
    found = read_submission(tmp_path / "mine")
    assert sorted(found) == ["arc-easy_llama3", "ioi_gpt2"]
    assert [circuit.n_edges for circuit in found["ioi_gpt2"]] == SIZES
    for before, after in zip(circuits, found["ioi_gpt2"], strict=True):
        np.testing.assert_array_equal(before.in_graph, after.in_graph)
        np.testing.assert_array_equal(as_stored(before), as_stored(after))
    np.testing.assert_array_equal(as_stored(found["arc-easy_llama3"][0]), as_stored(llama))
    edges, _ = (read_json if ending == ".json" else read_pt)(written[0])
    assert {name for name, (_, kept) in edges.items() if kept} == {edge.name for edge in circuits[0]}


@pytest.mark.parametrize("n", [2, 8, 10])
def test_nine_or_one_and_nothing_else(tmp_path, n):
    """Of fewer files MIB's evaluator credits each to a smaller size than it has, in silence."""
    circuits = (nine() + nine())[:n]
    with pytest.raises(SettingsError, match=rf"ioi_gpt2: .*exactly 9 circuits, of at most 0.1, .*, and {n} are given"):
        write_submission(tmp_path / "mine", {"ioi_gpt2": circuits})
    assert not list(tmp_path.iterdir())
    (tmp_path / "theirs" / "ioi_gpt2").mkdir(parents=True)
    for number, circuit in enumerate(circuits):
        circuit.save(tmp_path / "theirs" / "ioi_gpt2" / f"{number}.json")
    with pytest.raises(CircuitFileError, match=rf"theirs/ioi_gpt2: MIB takes .* and {n} are given"):
        read_submission(tmp_path / "theirs")


def test_sizes_are_those_that_mib_takes_them_for(tmp_path):
    circuits = nine()
    circuits[3] = circuits[4]
    with pytest.raises(
        SettingsError, match=r"by size, circuit 4 has \d+ edges, and MIB takes it for one of at most 1 %"
    ):
        write_submission(tmp_path / "mine", {"ioi_gpt2": circuits})
    assert not list(tmp_path.iterdir())
    circuits = nine()
    circuits[4] = circuits[3]
    with pytest.warns(AcdcWarning, match="ioi_gpt2: some of the nine circuits have the same number of edges"):
        write_submission(tmp_path / "mine", {"ioi_gpt2": circuits})


def test_importances_rank(tmp_path):
    for scores in (np.ones(GRAPH.n_edges), np.full(GRAPH.n_edges, np.nan)):
        with pytest.raises(SettingsError, match="the scores of this one rank nothing"):
            write_submission(tmp_path / "mine", {"ioi_gpt2": [replace(scored(), scores=scores)]})
    half = np.where(np.arange(GRAPH.n_edges) < 100, np.arange(GRAPH.n_edges), 0.0)
    with pytest.warns(AcdcWarning, match="ioi_gpt2: .* share their score with others"):
        write_submission(tmp_path / "mine", {"ioi_gpt2": [replace(scored(), scores=half)]})


def test_names_are_mib_s():
    assert mib_name("arithmetic_addition_qwen2.5") == mib_name("arithmetic-addition_qwen2.5")
    for name, says in (
        ("ioj_gpt2", "ioj_gpt2: unknown task of MIB 'ioj': did you mean ioi?"),
        ("ioi_gpt3", "unknown model of MIB 'gpt3': did you mean gpt2"),
        ("arc-esay_llama3", "did you mean arc-easy"),
    ):
        with pytest.raises(UnknownNameError, match=says):
            mib_name(name)
    for name in ("ioi", "", "_gpt2", "ioi_"):
        with pytest.raises(SettingsError, match="is called by task and model"):
            mib_name(name)
    with pytest.raises(SettingsError, match="`name` must be a name"):
        mib_name(3)


@pytest.mark.parametrize(
    ("task", "model", "name"),
    [
        ("ioi", "gpt2", "ioi_gpt2"),
        ("data/arc_easy.jsonl", "meta-llama/Llama-3.1-8B", "arc-easy_llama3"),
        ("mcqa", "/models/Qwen2.5-0.5B", "mcqa_qwen2.5"),
        ("ioi", "google/gemma-2-2b", "ioi_gemma2"),
    ],
)
def test_a_circuit_says_where_it_belongs(task, model, name):
    assert name_of(replace(scored(), found=Provenance(task=task, model=model)), "the run") == name


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"task": "ioi"}, "runs/a doesn't say what task and model it is of; give `name`"),
        (
            {"task": "docstring", "model": "gpt2"},
            r"runs/a \(`name` says another one\): unknown task of MIB 'docstring'",
        ),
        ({"task": "ioi", "model": "gpt2-xl"}, r"unknown model of MIB 'gpt2-xl': did you mean gpt2\?"),
    ],
)
def test_a_circuit_that_belongs_nowhere_is_said(found, says):
    with pytest.raises((SettingsError, UnknownNameError), match=says):
        name_of(replace(scored(), found=Provenance(**found)), "runs/a")


def test_another_model_s_shape_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"another model than MIB's llama3 \(n_heads 6 against 5\)"):
        write_submission(tmp_path / "mine", {"ioi_llama3": [scored()]})
    split = Graph.from_config(5, 6, 8, split_input=True)
    with pytest.raises(SettingsError, match="split_input True against False"):
        write_submission(tmp_path / "mine", {"ioi_gpt2": [scored(split)]})
    wide = Graph.from_config(5, 6, 16)
    with pytest.raises(SettingsError, match="d_model 16 against 8"):
        write_submission(tmp_path / "mine", {"ioi_gpt2": [scored(wide)]})


def test_nothing_is_written_over_and_wrong_calls_are_said(tmp_path):
    write_submission(tmp_path, {"ioi_gpt2": [scored()]})
    with pytest.raises(RunFolderError, match="ioi_gpt2 exists already"):
        write_submission(tmp_path, {"ioi_gpt2": [scored()]})
    with pytest.raises(SettingsError, match="given twice, as 'arc_easy_gpt2' and 'arc-easy_gpt2'"):
        write_submission(tmp_path, {"arc_easy_gpt2": [scored()], "arc-easy_gpt2": [scored()]})
    with pytest.raises(SettingsError, match=r"ending in \.json or \.pt"):
        write_submission(tmp_path, {"mcqa_gpt2": [scored()]}, ".txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="can't make"):
        write_submission(tmp_path / "file", {"mcqa_gpt2": [scored()]})


def test_a_folder_that_is_no_submission_is_a_sentence(tmp_path):
    for path, says in ((tmp_path / "none", "can't read"), (tmp_path, "holds no folder called by task and model")):
        with pytest.raises(CircuitFileError, match=says):
            read_submission(path)
    (tmp_path / "ioi_gpt").mkdir()
    with pytest.raises(CircuitFileError, match=r"'ioi_gpt' isn't a task and a model of it; did you mean ioi_gpt2\?"):
        read_submission(tmp_path)
    (tmp_path / "ioi_gpt").rename(tmp_path / "ioi_gpt2")
    with pytest.raises(CircuitFileError, match="and 0 are given"):
        read_submission(tmp_path)
    (tmp_path / "ioi_gpt2" / "x.json").write_text("{")
    with pytest.raises(CircuitFileError, match="isn't JSON"):
        read_submission(tmp_path)


def test_too_few_tasks_and_models_are_warned_of(tmp_path):
    write_submission(tmp_path, {"ioi_gpt2": [scored()]})
    with pytest.warns(AcdcWarning, match=r"has 1 task and 1 model so far; MIB's leaderboard takes .* at least 2 tasks"):
        read_submission(tmp_path)
    write_submission(tmp_path, {"mcqa_gpt2": [scored()]})
    with pytest.warns(AcdcWarning, match="has 1 model so far"):
        read_submission(tmp_path)
    write_submission(tmp_path, {"ioi_llama3": [scored(Graph(SMALL["llama3"]))]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_submission(tmp_path)) == 3


def test_the_real_shapes_are_those_of_mib_s_counts(monkeypatch):
    monkeypatch.undo()
    counts = {name: cfg.n_edges for name, cfg in mib.MODELS.items()}
    assert counts == {"gpt2": 32491, "qwen2.5": 179749, "gemma2": 74218, "llama3": 1592881}

"""Making the page of a run: what is in it, where it is written, and what becomes of what can't be had."""

import json
import re
import shutil

import numpy as np
import pytest
from tiny import pairs, save_gpt2, write_pairs

import acdc
from acdc import PromptPair
from acdc.errors import AcdcError, AcdcWarning, RunFolderError, SettingsError
from acdc.viewing import view

pytestmark = pytest.mark.random_models


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A folder with a model, a prompt file and a run."""
    folder = tmp_path_factory.mktemp("found")
    model = save_gpt2(folder / "model", with_tokenizer=True)
    task = write_pairs(folder / "pairs.jsonl", pairs(8))
    acdc.discover(model, task, n=4, threshold=0.01, out=folder / "run", progress=False)
    return folder


@pytest.fixture
def own(found, tmp_path):
    """A copy of the run that a test may change; its model and prompts stay where they were."""
    return shutil.copytree(found / "run", tmp_path / "run")


def data(view):
    return json.loads(re.search(r'id="data">(.*?)</script>', view.html, re.DOTALL)[1])


def test_a_run_s_page_holds_its_graph_figures_prompts_and_nodes(own):
    run = acdc.Run.load(own)
    made = view(own, progress=False)
    assert made.path == own / "view.html"
    assert made.path.read_text("utf-8") == made.html
    (shown,) = data(made)["runs"]
    assert shown["n_edges"] == run.circuit.n_edges
    assert sum(shown["film"]["count"]) == len(run.decisions)
    assert [prompt["held_out"] for prompt in shown["prompts"]] == [False] * 4 + [True] * 4
    assert set(shown["nodes"]) == {node.name for node in run.circuit.nodes()}
    assert shown["curve"]
    assert ["prompts", "4"] in shown["facts"]
    assert shown["evidence"]
    means = np.mean([prompt["values"]["circuit"]["kl"] for prompt in shown["prompts"][:4]])
    assert means == pytest.approx(run.used.circuit.metrics["kl"], rel=1e-3)


def test_no_model_is_run_unless_it_is_wanted(own, monkeypatch):
    monkeypatch.setattr("acdc.models.loading.load_model", None)
    (shown,) = data(view(own, open_model=False, progress=False))["runs"]
    assert (shown["prompts"], shown["nodes"], shown["curve"]) == ([], {}, [])
    assert shown["film"]
    assert shown["evidence"]


def test_fewer_prompts_are_run_where_fewer_are_asked_for_and_it_is_said(own):
    (shown,) = data(view(own, n=2, progress=False))["runs"]
    assert [prompt["held_out"] for prompt in shown["prompts"]] == [False] * 2 + [True] * 2
    assert any("the first 2 prompts were run" in sentence for sentence in shown["missing"])


def test_a_page_is_drawn_anew_and_nothing_else_is_overwritten(own, tmp_path):
    view(own, open_model=False, title="first")
    assert "<title>second</title>" in view(own, open_model=False, title="second").path.read_text("utf-8")
    (own / "view.html").write_text("<html>mine</html>")
    for out in (None, own / "run.json", tmp_path / "no folder" / "view.html", own):
        with pytest.raises(RunFolderError, match="`out`"):
            view(own, open_model=False, out=out)
    assert (own / "view.html").read_text() == "<html>mine</html>"
    assert view(own, open_model=False, out=tmp_path / "page.html").path == tmp_path / "page.html"


def test_a_run_in_memory_has_a_page_in_no_file(found):
    run = acdc.discover(found / "model", found / "pairs.jsonl", n=4, threshold=0.01, out=None, progress=False)
    made = run.view(progress=False)
    assert made.path is None
    assert data(made)["runs"][0]["prompts"]
    with pytest.raises(RunFolderError, match="save it first"):
        made.open()


def test_a_circuit_s_file_without_a_run_has_its_page_beside_it(own, tmp_path):
    file = shutil.copy(own / "circuit.json", tmp_path / "found.json")
    made = view(file, progress=False)
    assert made.path == tmp_path / "found.view.html"
    (shown,) = data(made)["runs"]
    assert shown["film"] is None
    assert shown["prompts"]  # its provenance says on what it was found
    assert shown["evidence"]


def test_the_circuit_in_a_run_s_folder_is_the_run(own):
    assert data(view(own / "circuit.json", open_model=False))["runs"][0]["film"]


def test_a_list_of_edges_is_of_a_model_that_is_given(found, tmp_path):
    (tmp_path / "edges.txt").write_text("input->m0\nm0->logits\n")
    with pytest.raises(SettingsError, match="give the `model` that it is of"):
        view(tmp_path / "edges.txt", progress=False)
    with pytest.warns(AcdcWarning, match="no result on held-out prompts"):
        made = view(tmp_path / "edges.txt", model=found / "model", task=found / "pairs.jsonl", progress=False)
    (shown,) = data(made)["runs"]
    assert shown["n_edges"] == 2
    assert shown["prompts"]
    assert not shown["curve"]


@pytest.mark.parametrize("lost", ["model", "prompts"])
def test_what_can_t_be_had_again_is_said_and_the_rest_is_shown(tmp_path, lost):
    model = save_gpt2(tmp_path / "model", with_tokenizer=True)
    task = write_pairs(tmp_path / "pairs.jsonl", pairs(8))
    run = acdc.discover(model, task, n=4, threshold=0.01, out=tmp_path / "run", progress=False)
    if lost == "model":
        save_gpt2(model, seed=1, with_tokenizer=True)
    else:
        write_pairs(task, pairs(8, seed=1))
    with pytest.warns(AcdcWarning, match="the model isn't run: .* chang"):
        made = view(tmp_path / "run", progress=False)
    (shown,) = data(made)["runs"]
    assert not shown["prompts"]
    assert any("chang" in sentence for sentence in shown["missing"])
    assert shown["n_edges"] == run.circuit.n_edges
    assert shown["film"]
    with pytest.raises(AcdcError):  # asked for, it must be so
        view(tmp_path / "run", model=save_gpt2(tmp_path / "other", n_layer=1, with_tokenizer=True), progress=False)


@pytest.mark.parametrize("lost", ["trace.jsonl", "run.json"])
def test_a_folder_whose_run_is_damaged_shows_its_circuit_and_says_so(own, lost):
    (own / lost).unlink()
    with pytest.warns(AcdcWarning, match=f"{lost}.* What follows is the circuit of .* alone"):
        (shown,) = data(view(own, open_model=False))["runs"]
    assert shown["film"] is None
    assert lost in shown["missing"][0]
    assert shown["n_edges"] == acdc.Circuit.load(own / "circuit.json").n_edges


def test_a_place_that_may_not_be_written_into_is_told_before_a_model_is_run(own, monkeypatch):
    monkeypatch.setattr("acdc.models.loading.load_model", None)
    monkeypatch.setattr("acdc.explorer.shown.os.access", lambda path, mode: path != own)
    with pytest.raises(RunFolderError, match="may not be written into; choose another file with `out`"):
        view(own)


def test_a_folder_with_neither_is_refused(own, tmp_path):
    for name in ("run.json", "circuit.json"):
        (own / name).unlink()
    for folder in (own, tmp_path / "nothing"):
        with pytest.raises(AcdcError):
            view(folder, open_model=False)


def test_two_runs_stand_side_by_side(found, own):
    acdc.discover(found / "model", found / "pairs.jsonl", n=4, threshold=0.1, out=own / "b" / "run", progress=False)
    made = view(own, own / "b" / "run", progress=False)
    assert made.path == own / "view.html"
    shown = data(made)
    assert [run["label"] for run in shown["runs"]] == ["A: run", "B: run"]
    assert shown["runs"][0]["n_edges"] != shown["runs"][1]["n_edges"]
    assert all(run["prompts"] for run in shown["runs"])
    assert shown["comparison"]


def test_two_runs_of_different_graphs_are_refused(own, tmp_path):
    graph = acdc.Graph.from_config(n_layers=1, n_heads=1)
    other = acdc.Circuit(graph, np.ones(graph.n_edges, dtype=bool), np.zeros(graph.n_edges))
    with pytest.raises(SettingsError, match=r"different graphs.*n_layers 2 against 1"):
        view(own, other, open_model=False)


def test_text_of_others_stays_text(found, tmp_path):
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    made = view(found / "run", out=tmp_path / "page.html", open_model=False, title=hostile)
    assert hostile not in made.html
    assert "<img" not in made._repr_html_().replace("&lt;img", "")
    assert made._repr_html_().count("<") == 2


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 2.5}, {"title": 3}, {"open_model": "no"}, {"out": 3}])
def test_an_option_that_makes_no_sense_is_named(own, options):
    with pytest.raises(SettingsError, match=f"`{next(iter(options))}`"):
        view(own, **options)


@pytest.mark.parametrize("given", [3, None, ["run"]])
def test_what_is_no_run_is_refused(given):
    with pytest.raises(SettingsError, match="a run, a circuit or a path is wanted"):
        view(given)


def test_a_list_of_pairs_that_is_given_again_is_split_as_it_was(found, tmp_path):
    given = [
        PromptPair(
            clean=tuple(row["clean_tokens"]),
            corrupted=tuple(row["corrupted_tokens"]),
            answers=((row["answer_token"],),),
            wrong_answers=((row["wrong_answer_token"],),),
        )
        for row in pairs(8)
    ]
    run = acdc.discover(found / "model", given, n=4, threshold=0.01, out=tmp_path / "run", progress=False)
    with pytest.warns(AcdcWarning, match="give `task`"):
        assert not data(run.view(progress=False))["runs"][0]["prompts"]
    (shown,) = data(run.view(task=given, progress=False))["runs"]
    assert [prompt["held_out"] for prompt in shown["prompts"]] == [False] * 4 + [True] * 4


def test_a_circuit_of_nothing_is_shown_as_well(found, tmp_path):
    acdc.discover(found / "model", found / "pairs.jsonl", n=4, threshold=1e9, out=tmp_path / "run", progress=False)
    (shown,) = data(view(tmp_path / "run", progress=False))["runs"]
    assert (shown["n_edges"], shown["nodes"]) == (0, {})
    assert all(prompt["likely"]["circuit"] == prompt["likely"]["ablated"] for prompt in shown["prompts"])


def test_acdc_view_is_the_function_however_often_it_is_asked_for(own):
    for _ in range(2):
        assert acdc.view(own, open_model=False).path == own / "view.html"

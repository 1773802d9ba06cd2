"""Several looks at once: which are run, what a short summary shows, what is marked, and what is written."""

import inspect

import numpy as np
import pytest
from tiny import pairs, write_pairs

import acdc
import acdc.analysis
from acdc.analysis.looks import look_at, summary_of
from acdc.analysis.registry import ANALYSES, Analysis, asked_analyses, function_of
from acdc.analysis.result import Result, Table
from acdc.circuit import Circuit
from acdc.errors import AcdcError, SettingsError, UnknownNameError

pytestmark = pytest.mark.random_models


@pytest.fixture(scope="module")
def setting(gpt2_model, tmp_path_factory):
    file = write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", pairs(4))
    return acdc.set_up(gpt2_model, str(file))


@pytest.fixture(scope="module")
def circuit(setting):
    graph = setting.graph
    kept = np.zeros(graph.n_edges, dtype=bool)
    for name in ("input->a0.h1<v>", "a0.h1->m1", "m1->logits"):
        kept[graph.edge(name).number] = True
    return Circuit(graph, kept, kept * 1.0)


def analysis(**options):
    return Analysis("made", "", "", "", ("node", "value"), **options)


def test_the_names_of_the_room_are_its_functions():
    for name in acdc.analysis.__all__:
        assert getattr(acdc.analysis, name) is not None
    functions = {function_of(one).__name__ for one in ANALYSES.values()}
    assert functions <= set(acdc.analysis.__all__)
    with pytest.raises(AttributeError, match="no attribute 'logit_lense'"):
        acdc.analysis.logit_lense  # noqa: B018


@pytest.mark.parametrize("name", acdc.analysis.__all__)
def test_what_is_no_model_on_prompts_is_refused(name):
    function = getattr(acdc.analysis, name)
    if not inspect.isfunction(function) or next(iter(inspect.signature(function).parameters)) != "setting":
        return
    given = {"paths": ["m0"], "what": "heads"}
    options = {one: given[one] for one in inspect.signature(function).parameters if one in given}
    for wrong in ("tiny-tasks", None, 3):
        with pytest.raises(SettingsError, match="a model on prompts is wanted"):
            function(wrong, **options)


def test_options_of_looks_are_their_functions():
    for one in ANALYSES.values():
        takes = inspect.signature(function_of(one)).parameters
        assert set(one.options) <= set(takes)
        assert ("heads" in takes) >= one.of_heads


def test_all_looks_have_a_table_a_summary_and_a_form(setting):
    looks = look_at(setting, list(ANALYSES), heads=["a0.h1", "a1.h0"])
    assert list(looks) == list(ANALYSES)
    assert looks.left_out == {}
    briefer = ("heads", "ov", "ov-vocabulary")
    for name, result in looks.items():
        assert isinstance(result, Result)
        table, summary = looks.table(name), looks.summary(name)
        wanted = ANALYSES[name]
        assert set(wanted.columns) - {"spans"} <= set(table.columns) or name in briefer
        assert (wanted.together or wanted.by or table.columns[0]) in table.columns
        assert summary.rows or wanted.together is not None
    assert all(name in repr(looks) for name in ANALYSES)
    assert all(f"{name}: {result.title}" in looks._repr_html_() for name, result in looks.items())


def test_a_summary_of_what_heads_write_has_both_ends(setting):
    looks = look_at(setting, ["ov"], heads="a1.h0")
    found, summary = looks["ov"], looks.summary("ov", rows=99)
    assert summary.columns == ("node", "prompt", "token", "weight", "raises", "lowers")
    rows = sorted(zip(looks.table("ov").rows, np.ndindex(found.own.shape), strict=True), key=lambda one: -one[0][4])
    assert len(summary.rows) == len(rows)
    for (head, prompt, token, weight, *ends), (whole, here) in zip(summary.rows, rows, strict=True):
        assert (head, prompt, token, weight) == (*whole[:2], *whole[3:5])
        highest, lowest = (
            [f"{found.texts[i]} {value:+.3g}" for i, value in zip(ids[here][:3], logits[here], strict=False)]
            for ids, logits in ((found.highest, found.highest_logits), (found.lowest, found.lowest_logits))
        )
        assert ends == [", ".join(highest), ", ".join(lowest)]
        assert "+" in highest[0]
        assert "-" in lowest[0]


def test_the_heads_looked_at_are_the_circuits_or_those_that_do_the_most(setting, circuit):
    assert {row[0] for row in look_at(setting, "patterns", circuit=circuit).table("patterns").rows} == {"a0.h1"}
    looks = look_at(setting, ["patterns", "direct"])
    sizes = np.abs(looks["direct"].difference.mean(1))
    heads = [name for name in np.array(looks["direct"].nodes)[np.argsort(-sizes)] if ".h" in name]
    assert {row[0] for row in looks.table("patterns").rows} <= set(heads[:6])


def test_a_look_that_was_asked_for_is_not_left_out_in_silence(setting):
    bare = acdc.PromptSet(
        tuple(
            acdc.pairs.TokenPair(pair.clean, pair.corrupted, pair.answer_positions) for pair in setting.prompts.pairs
        ),
        "bare",
    )
    without = acdc.set_up(setting.model, bare)
    with pytest.raises(SettingsError, match="takes right ones"):
        look_at(without, "direct")
    looks = look_at(without)
    assert "direct" in looks.left_out
    assert "lens" in looks


def test_another_models_circuit_is_refused(setting):
    other = acdc.Graph.from_config(3, 2)
    nothing = Circuit(other, np.zeros(other.n_edges, dtype=bool), np.zeros(other.n_edges))
    with pytest.raises(SettingsError, match="n_layers 2 against 3"):
        look_at(setting, "direct", circuit=nothing)


def test_names_of_looks_are_checked():
    assert [one.name for one in asked_analyses("direct, lens,direct")] == ["direct", "lens"]
    with pytest.raises(UnknownNameError, match="did you mean lens"):
        asked_analyses(["lenss"])
    for bad in (3, [], [3]):
        with pytest.raises(SettingsError):
            asked_analyses(bad)


def test_a_summary_shows_the_largest_in_size():
    table = Table(("node", "other", "value"), [("a", 1, 0.5), ("b", 2, -3.0), ("c", 3, None), ("d", 4, float("nan"))])
    assert summary_of(analysis(by="value"), table, 2).rows == [("b", -3.0), ("a", 0.5)]
    assert summary_of(analysis(by="value"), table, 2).columns == ("node", "value")


def test_a_summary_without_an_order_goes_from_the_first_to_the_last():
    table = Table(("node", "value"), [(str(i), i) for i in range(31)])
    assert [row[1] for row in summary_of(analysis(), table, 4).rows] == [0, 10, 20, 30]
    assert len(summary_of(analysis(), table, 99).rows) == 31
    assert summary_of(analysis(), Table(("node", "value"), []), 4).rows == []


def test_a_summary_takes_turns_and_the_last_positions():
    rows = [("a", 0, 1, 9.0), ("a", 0, 2, 3.0), ("a", 1, 1, 2.0), ("b", 0, 2, 1.0), ("b", 1, 1, 0.5)]
    table = Table(("node", "prompt", "query", "value"), rows)
    found = summary_of(analysis(by="value", each="node", last="query"), table, 3)
    assert found.rows == [("a", 3.0), ("b", 1.0), ("a", 2.0)]


def test_a_summary_of_labels_names_the_nodes(circuit):
    table = Table(("node", "label", "in circuit"), [("a", "x", "yes"), ("b", None, ""), ("c", "x", "")])
    found = summary_of(analysis(together="label"), table)
    assert found.rows == [("x", 2, "a* c")]
    assert found.columns == ("label", "how many", "nodes (*: in circuit)")


def test_nodes_of_a_circuit_are_marked(setting, circuit):
    looks = look_at(setting, "direct,heads-noising,residual-noising,lens", circuit=circuit)
    marked = {row[0] for row in looks.table("direct").rows if row[-1] == "yes"}
    assert marked == {"input", "a0.h1", "m1"}
    assert "in circuit" in looks.table("heads-noising").columns
    assert "in circuit" not in looks.table("residual-noising").columns  # which has no nodes
    assert "in circuit" not in looks.table("lens").columns


def test_what_takes_long_is_run_where_it_is_named(setting):
    looks = look_at(setting)
    assert list(looks) == [one.name for one in ANALYSES.values() if one.by_default]
    assert {"lens", "direct", "heads-noising"} < set(looks)
    assert not {"ov-vocabulary", "head-positions-noising"} & set(looks)
    assert all("if named" in one.summary for one in ANALYSES.values() if not one.by_default)


def test_copying_over_the_vocabulary_is_summed_up_by_head(setting):
    looks = look_at(setting, "ov-vocabulary", heads="a1.h0")
    found = looks["ov-vocabulary"]
    assert looks.summary("ov-vocabulary").rows == [
        ("a1.h0", len(found.tokens), float(found.copied()[0]), float(found.suppressed()[0]))
    ]


def test_heads_are_summed_up_with_who_wrote_what_they_read(setting, circuit):
    looks = look_at(setting, "heads", heads=["a1.h0"], circuit=circuit)
    ((head, direct, values, _, keys, mark),) = looks.summary("heads").rows
    found = looks["heads"]
    assert (head, mark) == ("a1.h0", "")
    assert direct == pytest.approx(found.value.total.mean())
    assert values.split(", ") == [f"{node} {share:.3g}" for node, share in found.strongest("a1.h0", "v", 3)]
    assert keys.split(", ") == [f"{node} {share:.3g}" for node, share in found.strongest("a1.h0", "k", 3)]


@pytest.mark.parametrize(("out", "said"), [("", "is empty"), (3, "must be a path"), ("a\0b", "no path is written so")])
def test_a_folder_that_can_t_be_one_is_refused(gpt2_model, out, said):
    with pytest.raises(AcdcError, match=said):
        acdc.analyse(gpt2_model, "ioi", out=out, progress=False)


def test_analyse_opens_draws_looks_and_writes(gpt2_model, tmp_path):
    file = write_pairs(tmp_path / "pairs.jsonl", pairs(8))
    looks = acdc.analyse(gpt2_model, file, only="direct", out=tmp_path / "made" / "looks", n=3, progress=False)
    assert len(looks.setting.prompts) == 3
    assert sorted(path.name for path in (tmp_path / "made" / "looks").iterdir()) == ["direct.csv", "direct.svg"]
    assert len(acdc.analyse(gpt2_model, file, only="lens", progress=False).setting.prompts) == 8
    with pytest.raises(SettingsError, match="open already"):
        acdc.analyse(gpt2_model, file, dtype="float64")

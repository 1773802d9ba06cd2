"""The table of the field: every method is asked for a circuit of the true size, and comes out in the table."""

import pytest
from method_cases import Case, axes, cases
from method_rows import Row, draw, tables
from methods import measured

from acdc.errors import UnknownNameError
from acdc.methods import METHODS, find_method
from acdc.planted import planted, planted_names
from acdc.sweeps.grid import Grid

pytestmark = pytest.mark.random_models


def test_what_is_asked_of_each_method_is_what_it_takes():
    (case,) = cases(["small"], 10)
    grid = Grid.of(axes(case, case.methods, case.tasks, 0.02))
    assert [cell.settings["method"] for cell in grid.cells] == list(METHODS)
    for cell in grid.cells:
        name, select = cell.settings["method"], cell.arguments.get("select")
        assert (select is None) == find_method(name).decides
        assert select is None or (select.n, select.by) == (case.size, "magnitude")
        assert cell.settings["metric"] == ("answer-logprob" if name == "hisp" else "kl")
    by_method = {cell.settings["method"]: cell.settings for cell in grid.cells}
    assert by_method["hybrid"]["threshold"] == 0.02
    assert by_method["eap"]["side"] == "corrupted"


def test_a_word_is_models_or_an_error():
    assert [case.model for case in cases(["planted"], 10)] == planted_names()
    with pytest.raises(UnknownNameError, match="did you mean small"):
        list(cases(["smal"], 10))


def test_methods_find_a_planted_circuit_and_go_on(tmp_path):
    true = planted("planted-sort")
    case = Case("planted", true.name, ("sorting",), true.circuit.n_edges, 10, "kl", "other-digits", true.circuit)
    names = ("acdc", "hybrid", "patching", "eap")
    rows = measured(case, names, tmp_path, 0)
    assert [row.method for row in rows] == list(names)
    assert [(row.precision, row.recall, row.failed) for row in rows[:3]] == [(1.0, 1.0, "")] * 3
    assert all(row.roc == 1.0 for row in rows[:3])
    assert measured(case, names, tmp_path, 0) == rows  # the runs that are there, their seconds too
    text = "\n".join(tables(rows))
    assert "**planted**: 1 known circuits" in text
    assert text.count("| `") == 4
    assert {path.name for path in draw(rows, tmp_path)} == {"methods.png", "methods.svg"}


def test_a_real_task_has_a_row_a_task_and_a_method(tmp_path):
    case = Case("tiny-tasks", "tiny-tasks", ("pronouns", "ioi"), 150, 4, "logit-diff")
    rows = measured(case, ("eap", "random"), tmp_path, 0)
    assert [(row.case, row.method) for row in rows] == [
        *(("tiny-tasks-pronouns", "eap"), ("tiny-tasks-pronouns", "random")),
        *(("tiny-tasks-ioi", "eap"), ("tiny-tasks-ioi", "random")),
    ]
    assert [row.cpr is None for row in rows] == [False, True] * 2  # a curve of those that rank
    assert all(row.faithfulness is not None for row in rows)


def test_what_failed_is_said():
    row = Row("tiny-tasks", "tiny-tasks-ioi", "hisp", failed="no gradient.")
    assert list(tables([row])) == ["", "- `hisp` on tiny-tasks-ioi: no gradient."]

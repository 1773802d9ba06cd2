"""The table of the field: every method is asked for a circuit of the true size, and comes out in the table."""

import pytest
from method_cases import FLAT, Case, asked, cases
from method_rows import Row, draw, tables
from methods import measured

from acdc.errors import UnknownNameError
from acdc.methods import METHODS, find_method
from acdc.models.loading import load_model
from acdc.planted import planted, planted_names

pytestmark = pytest.mark.random_models


def test_what_is_asked_of_each_method_is_what_it_takes():
    (case,) = cases(["small"], 10)
    for name in METHODS:
        options, select = asked(name, case, 0.02)
        method = find_method(name, **options)
        assert (select is None) == method.decides
        assert select is None or (select.n, select.by) == (case.size, "magnitude")
    assert asked("hybrid", case, 0.02)[0] == {"threshold": 0.02}
    assert asked("eap", case, None)[0] == {"side": "corrupted"}
    assert case.metric in FLAT


def test_a_word_is_models_or_an_error():
    assert [case.model for case in cases(["planted"], 10)] == planted_names()
    with pytest.raises(UnknownNameError, match="did you mean small"):
        list(cases(["smal"], 10))


def test_methods_find_a_planted_circuit_and_go_on(tmp_path):
    true = planted("planted-sort")
    case = Case("planted", true.name, "sorting", true.circuit.n_edges, 10, "kl", "other-digits", true.circuit)
    model = load_model(true.name, device="cpu")
    rows = [measured(name, case, model, tmp_path) for name in ("acdc", "hybrid", "patching", "eap")]
    assert [(row.precision, row.recall, row.failed) for row in rows[:3]] == [(1.0, 1.0, "")] * 3
    assert all(row.roc == 1.0 for row in rows[:3])
    assert measured("acdc", case, model, tmp_path).seconds == rows[0].seconds  # the run that is there
    text = "\n".join(tables(rows))
    assert "**planted**: 1 known circuits" in text
    assert text.count("| `") == 4
    assert {path.name for path in draw(rows, tmp_path)} == {"methods.png", "methods.svg"}


def test_what_failed_is_said():
    row = Row("tiny-tasks", "tiny-tasks-ioi", "hisp", failed="no gradient.")
    assert list(tables([row])) == ["", "- `hisp` on tiny-tasks-ioi: no gradient."]

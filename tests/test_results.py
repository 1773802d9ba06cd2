"""Results keep the value of every prediction, through a record and back."""

import json

import numpy as np
import pytest

import acdc.results
from acdc.results import Behaviour, Evaluation

DRAW = np.random.default_rng(0)
PROMPT_OF = np.array([0, 0, 1, 2, 2])


def behaviour():
    values = {name: DRAW.standard_normal(5) for name in ("kl", "logit-diff", "logit_difference")}
    return Behaviour.of({"accuracy": np.array([1.0, 0, 1, 1, 0]), "top1": np.zeros(5), **values})


def evaluation():
    states = [behaviour() for _ in range(4)]
    return Evaluation(3, *states, 0.7, "logit-diff", complement=behaviour(), prompt_of=PROMPT_OF, rounding=1e-7)


def through_json(data):
    return json.loads(json.dumps(data, allow_nan=False))


def test_all_of_it_comes_back_to_the_last_bit():
    one = evaluation()
    again = Evaluation.from_json(through_json(one.to_json()))
    assert again == one
    assert again.circuit.values["kl"].tolist() == one.circuit.values["kl"].tolist()
    assert again.prompt_of.dtype == np.int64
    assert again != evaluation()  # of other values


def test_values_are_one_line_each_in_an_indented_file():
    text = json.dumps(evaluation().to_json(), indent=1)
    assert len(text.splitlines()) < 100
    assert '"accuracy": "1 0 1 1 0"' in text


def test_of_many_predictions_the_means_alone_are_kept(monkeypatch):
    monkeypatch.setattr(acdc.results, "MOST_KEPT", 4)
    one = evaluation()
    again = Evaluation.from_json(through_json(one.to_json()))
    assert again.prompt_of is None
    assert again.circuit.values is None
    assert again.circuit.metrics == one.circuit.metrics
    assert again.of_prompts([0]) is None


def test_a_record_of_an_older_version_has_means_alone():
    old = through_json(evaluation().to_json())
    for state in ("model", "circuit", "ablated", "corrupted"):
        del old[state]["values"]
    for later in ("complement", "prompt_of", "rounding"):
        del old[later]
    found = Evaluation.from_json(old, ("kl",))
    assert found.complement is None
    assert found.circuit.values is None
    assert list(found.states) == ["model", "circuit", "ablated", "corrupted"]


def damaged(change):
    data = through_json(evaluation().to_json())
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["circuit"]["values"].update(kl="1 2 3"), "circuit.values.kl must be 5 finite numbers"),
        (lambda d: d["circuit"]["values"].update(kl="1 2 3 4 nan"), "circuit.values.kl must be 5 finite numbers"),
        (lambda d: d["circuit"]["values"].update(kl="1 2 3 4 x"), "circuit.values.kl must be a text of numbers"),
        (lambda d: d["circuit"]["values"].update(kl=[1, 2, 3, 4, 5]), "circuit.values.kl must be a text of numbers"),
        (lambda d: d["circuit"]["values"].pop("kl"), "circuit.values must be an object of accuracy, kl"),
        (lambda d: d["circuit"]["values"].update(l2="1 2 3 4 5"), "circuit.values must be an object of"),
        (lambda d: d["circuit"].update(values=None), "not the values of every state"),
        (lambda d: d["circuit"].update(values="1"), "circuit.values must be an object of"),
        (lambda d: d.update(prompt_of="0 0 1 2"), "must be 4 finite numbers"),
        (lambda d: d.update(prompt_of="0 0 2 2 2"), "prompt_of must number the 3 prompts in order"),
        (lambda d: d.update(prompt_of="0 0 1 1 1"), "prompt_of must number the 3 prompts in order"),
        (lambda d: d.update(prompt_of="0 0.5 1 2 2"), "prompt_of must number the 3 prompts in order"),
        (lambda d: d.update(prompt_of=""), "prompt_of must number the 3 prompts in order"),
        (lambda d: d.update(prompt_of=[0, 0, 1, 2, 2]), "prompt_of must be a text of numbers"),
    ],
)
def test_values_that_do_not_belong_together_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        Evaluation.from_json(damaged(change))


def test_some_of_the_prompts():
    one = evaluation()
    part = one.of_prompts([0, 2])
    assert part.n_prompts == 2
    assert part.prompt_of.tolist() == [0, 0, 1, 1]
    kl = one.circuit.values["kl"][[0, 1, 3, 4]]
    assert part.circuit.metrics["kl"] == pytest.approx(kl.mean())
    lost = [state.values["logit-diff"][[0, 1, 3, 4]].mean() for state in (one.circuit, one.ablated)]
    assert part.faithfulness == pytest.approx(1 - lost[0] / lost[1])
    assert one.of_prompts([0, 1, 2]).circuit.metrics == pytest.approx(one.circuit.metrics)

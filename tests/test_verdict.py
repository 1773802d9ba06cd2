"""The verdict: what a circuit's figures amount to, in words; never silence."""

from dataclasses import asdict, replace

import pytest

from acdc.results import Behaviour, Evaluation, faithfulness
from acdc.verdict import verdict


def behaviour(accuracy, kl, difference):
    metrics = {"kl": kl, "logit-diff": 4.0 - difference}
    return Behaviour(accuracy, accuracy, difference, metrics)


def evaluation(accuracy=0.96, kl=0.2, difference=3.8, *, ablated=None, model_accuracy=1.0, floor=1e-6):
    circuit, ablated = behaviour(accuracy, kl, difference), ablated or behaviour(0.5, 2.0, 0.0)
    share = faithfulness(circuit.metrics["logit-diff"], ablated.metrics["logit-diff"], floor)
    return Evaluation(50, behaviour(model_accuracy, 0.0, 4.0), ablated, circuit, ablated, share, "logit-diff")


def judged(used=None, held_out=None, *, n_edges=30, **options):
    used = used or evaluation()
    held_out = evaluation() if held_out is None else held_out
    asked = {"n_graph": 1000, "metric": "kl", "threshold": 0.05} | options
    return verdict(used, held_out or None, n_edges=n_edges, **asked)


def test_a_good_circuit_is_called_so_in_one_sentence():
    assert judged() == [
        "The circuit keeps 95% of the model's logit-diff (95% held out) and is right on 96% of the predictions "
        "(96% held out), the model on 100%."
    ]


def test_an_empty_circuit_says_what_to_lower():
    (said,) = judged(evaluation(0.5, 2.0, 0.0), n_edges=0)
    assert said.startswith(
        "The circuit is empty: no edge is worth its threshold of 0.05; ablating every edge costs 2 kl"
    )
    assert said.endswith("Lower the threshold.")


def test_a_circuit_of_every_edge_says_nothing():
    assert judged(n_edges=1000) == [
        "Every one of the 1,000 edges is in the circuit, which says nothing. Raise the threshold."
    ]


GOOD = evaluation()
HARMFUL = behaviour(0.5, 2.0, 5.0)  # without the edges that are ablated, the model does better


@pytest.mark.parametrize(
    ("used", "held_out", "said"),
    [
        (
            evaluation(0.1, 0.5, 1.0),
            GOOD,
            "prompts used the circuit is right on 10% of the predictions, worse than with every edge ablated (50%).",
        ),
        (GOOD, evaluation(0.1, 0.5), "On held-out prompts the circuit is right on 10% of the predictions, worse than"),
        (evaluation(kl=3.0), GOOD, "the circuit is further from the model (3 kl) than with every edge ablated (2)"),
        (evaluation(difference=-1.0), GOOD, "further from the model (5 logit-diff) than with every edge ablated (4)"),
        (
            evaluation(difference=1.68),
            GOOD,
            "keeps 42% of the model's logit-diff on the prompts used, less than 80%. A",
        ),
        (evaluation(difference=6.0), GOOD, "overshoots: it has 150% of the model's logit-diff, more than the model."),
        (GOOD, evaluation(difference=6.0), "overshoots on held-out prompts: it has 150% of the model's logit-diff"),
        (
            GOOD,
            evaluation(difference=2.0),
            "keeps 95% of the model's logit-diff on the prompts used, but 50% on held-out",
        ),
        (
            evaluation(difference=3.3),
            evaluation(difference=3.0),
            "keeps 75% of the model's logit-diff on held-out prompts, less than 80%. A",
        ),
        (GOOD, evaluation(ablated=behaviour(0.5, 2.0, 4.0)), "not defined on held-out prompts: ablating every edge"),
        (
            replace(GOOD, circuit=replace(GOOD.circuit, top1=0.1)),
            GOOD,
            "On the prompts used the circuit's likeliest token is right on 10% of the predictions, the model's on",
        ),
        (
            evaluation(1.0),
            evaluation(0.85),
            "right on 100% of the predictions on the prompts used, but on 85% of those on held-out prompts.",
        ),
        (replace(GOOD, complement=behaviour(0.9, 1.0, 3.68)), GOOD, "On the prompts used what is left without the"),
        (
            evaluation(0.7),
            GOOD,
            "On the prompts used the circuit is right on 70% of the predictions, the model on 100%.",
        ),
        (evaluation(0.6, model_accuracy=0.6), GOOD, "The model itself is right on 60% of the predictions only."),
        (GOOD, False, "There is no result on held-out prompts"),
        (
            evaluation(ablated=behaviour(0.5, 2.0, 4.0)),
            GOOD,
            "Faithfulness is not defined: ablating every edge leaves the logit-diff as it is.",
        ),
        (
            evaluation(ablated=HARMFUL),
            GOOD,
            "By logit-diff the model does better with every edge ablated (by 1), so that",
        ),
    ],
)
def test_every_doubt_is_in_words_with_its_figure(used, held_out, said):
    found = judged(used, held_out)
    assert any(said in sentence for sentence in found), found
    assert all(sentence.endswith((".", "?")) for sentence in found)


def test_the_circuit_of_the_issue_is_not_passed_in_silence():
    """SmolLM2's ioi circuit at 0.05: right on 10 %, worse than ablating everything."""
    bad = evaluation(0.1, 0.3, -0.5, ablated=behaviour(0.45, 2.0, -0.2))
    found = " ".join(judged(bad, bad))
    for words in (
        "right on 10%",
        "worse than with every edge ablated (45%)",
        "further from the model (4.5 logit-diff)",
    ):
        assert words in found


def test_without_answers_the_share_alone_is_judged():
    bare = replace(evaluation(), faithfulness=0.9, faithfulness_metric="kl")
    states = {state: replace(getattr(bare, state), accuracy=None) for state in ("model", "circuit", "ablated")}
    bare = replace(bare, **states)
    assert judged(bare, bare) == ["The circuit keeps 90% of the model's behaviour by kl (90% held out)."]
    seen, unseen = judged(bare, False)
    assert seen == "The circuit keeps 90% of the model's behaviour by kl."
    assert unseen.startswith("There is no result on held-out prompts")


@pytest.mark.parametrize("share", [None, 0.1, 0.5, 0.9, 1.0, 1.5])
@pytest.mark.parametrize("accuracy", [None, 0.0, 0.5, 1.0])
def test_it_is_never_silent(share, accuracy):
    one = replace(evaluation(), faithfulness=share, circuit=replace(evaluation().circuit, accuracy=accuracy))
    for held_out in (one, evaluation(), False):
        assert judged(one, held_out)


def test_faithfulness_is_the_share_of_the_model_s_behaviour():
    model, circuit, ablated = 4.0, 2.5, 1.0  # any measure of behaviour, higher is better
    assert faithfulness(model - circuit, model - ablated) == pytest.approx((circuit - ablated) / (model - ablated))
    assert faithfulness(0.0, 2.0) == 1
    assert faithfulness(2.0, 2.0) == 0
    assert faithfulness(-1.0, 2.0) == 1.5
    assert faithfulness(1.0, 0.0) is None
    assert faithfulness(1.0, -1e-9, floor=1e-8) is None


def test_an_evaluation_comes_back_from_a_record():
    one = evaluation()
    assert Evaluation.from_json(asdict(one), ("kl",)) == one
    old = {name: value for name, value in asdict(one).items() if not name.startswith("faithfulness")}
    assert Evaluation.from_json(old, ("logit-diff", "kl")) == one
    assert Evaluation.from_json(old, ("unheard-of", "kl")).faithfulness == pytest.approx(0.9)
    assert Evaluation.from_json(old, ("unheard-of",)).faithfulness_metric is None

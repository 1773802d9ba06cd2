"""A function of the caller's as the metric."""

from functools import partial

import pytest
import torch
from tiny import pairs, write_pairs

import acdc
from acdc.errors import AcdcWarning, RunFolderError, SettingsError, UnknownNameError

pytestmark = pytest.mark.random_models


@pytest.fixture
def discover(gpt2_model, tmp_path):
    path = write_pairs(tmp_path / "pairs.jsonl", pairs(6))
    return partial(acdc.discover, gpt2_model, path, n=4, progress=False)


def distance(circuit, model, answers):
    return (circuit - model).pow(2).sum(-1)


def margin(circuit, model, answers):
    def of(logits):
        return (logits.gather(-1, answers.right) - logits.gather(-1, answers.wrong))[:, 0]

    return of(model) - of(circuit)


@pytest.mark.filterwarnings("ignore:the metric margin is lower on corrupted prompts:acdc.AcdcWarning")  # it is
@pytest.mark.parametrize(("function", "name"), [(distance, "l2"), (margin, "logit-diff")])
@pytest.mark.parametrize("options", [{}, {"engine": "reference"}, {"order": "attribution"}, {"gates": True}])
def test_a_function_decides_like_the_metric_that_it_is(discover, function, name, options):
    ours, own = (discover(metric=metric, threshold=0.3, **options) for metric in (name, function))
    assert [(d.edge, d.kept) for d in own.decisions] == [(d.edge, d.kept) for d in ours.decisions]
    assert [d.after for d in own.decisions] == pytest.approx([d.after for d in ours.decisions], abs=1e-9)
    assert own.record.request.metric == own.circuit.found.metric == function.__name__
    for prompts in ("used", "held_out"):
        metrics = getattr(own.record.results, prompts).circuit.metrics
        assert metrics[function.__name__] == pytest.approx(metrics[name])


def test_a_run_under_a_function_is_written_and_read(discover, tmp_path):
    run = discover(metric=distance, out=tmp_path / "run")
    assert acdc.Run.load(tmp_path / "run").record.results == run.record.results


def test_a_run_goes_on_under_the_same_function_only(discover, tmp_path):
    def same(circuit, model, answers):
        return 2 * distance(circuit, model, answers)

    discover(metric=distance, out=tmp_path / "run")
    discover(metric=distance, out=tmp_path / "run", resume=True)
    same.__name__ = "distance"
    with pytest.raises(RunFolderError, match="holds a run with other settings: the metric changed"):
        discover(metric=same, out=tmp_path / "run", resume=True)


def test_answers_are_handed_over(discover):
    seen = []

    def spy(circuit, model, answers):
        seen.append((circuit.shape, circuit.dtype, answers.right.shape, answers.wrong.shape))
        return distance(circuit, model, answers)

    discover(metric=spy, threshold=100.0)
    for shape, dtype, right, wrong in seen:
        assert dtype == torch.float64
        assert right == wrong == (shape[0], 1)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (
            lambda c, m, a: (c - m).pow(2).mean(),
            "must give a number for each of 4 predictions, [4], not [] of float64.",
        ),
        (lambda c, m, a: (c - m).pow(2), "must give a number for each of 4 predictions, [4], not [4, 40] of float64."),
        (lambda c, m, a: 0.0, "must give a tensor [prediction], not 0.0."),
        (lambda c, m, a: c[:, 0], "must be 0 for the model itself, not "),
        (lambda c, m, a: distance(c, m, a) / 0, "gave NaN or infinity; make it finite for every circuit."),
        (lambda c, m, a: distance(c, m, a) / (1 + (c - m).abs().max()), "judges a prediction by those beside it"),
        (lambda c, m, a: distance(c, m, a) - distance(c, m, a).mean(), "judges a prediction by those beside it"),
        (lambda c, m, a: c.sub_(m).pow(2).sum(-1), "changes the logits that it is given; let it work on a copy."),
        (lambda c: c, "failed: TypeError: "),
        (lambda c, m, a: c[99], "failed: IndexError: "),
    ],
)
def test_functions_that_are_no_metric(discover, function, said):
    with pytest.raises(SettingsError) as caught:
        discover(metric=function)
    assert str(caught.value).startswith("the metric <lambda> ")
    assert said in str(caught.value)


def test_a_function_without_gradient_does_not_serve_attribution(discover):
    def flat(circuit, model, answers):
        return distance(circuit.detach(), model, answers)

    says = "the metric flat has no gradient, which methods of gradients or masks and the order attribution need"
    with pytest.raises(SettingsError, match=says):
        discover(metric=flat, order="attribution")
    discover(metric=flat)


def rooted(circuit, model, answers):
    return distance(circuit, model, answers).sqrt()  # at the model itself its slope is infinite


def overwritten(circuit, model, answers):
    grown = (circuit - model).exp()
    found = (grown * grown - 1).abs().sum(-1)
    grown.add_(1)  # which the way back needs as it was
    return found


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (rooted, "the gradient of the metric rooted is NaN or infinite; make it finite"),
        (overwritten, "the metric overwritten can't be differentiated: "),
    ],
)
def test_a_function_whose_gradient_fails_is_a_sentence(discover, function, said):
    with pytest.raises(SettingsError, match=said):
        discover(metric=function, method="eap", select=acdc.selection.Top(5))


def test_a_function_that_grows_as_circuits_get_better_is_doubted(discover):
    def likeness(circuit, model, answers):
        return -distance(circuit, model, answers)

    with pytest.warns(AcdcWarning, match=r"likeness is lower on corrupted prompts \(-.* lower must be better"):
        discover(metric=likeness)


def test_names_of_functions(discover):
    def kl(circuit, model, answers):
        return distance(circuit, model, answers)

    with pytest.raises(SettingsError, match="the function kl has the name of one of acdc's metrics; rename it"):
        discover(metric=kl)
    with pytest.raises(UnknownNameError, match="unknown metric 'kll': did you mean kl"):
        discover(metric="kll")
    assert discover(metric=partial(distance)).record.request.metric == "partial"

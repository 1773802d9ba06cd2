"""Attribution over steps: complete where it must be, and converging as its rule does."""

import numpy as np
import pytest
from attributions import FAMILIES, LINEAR, every, metric_of, setting_of

from acdc.errors import AcdcWarning, SettingsError, UnknownNameError
from acdc.methods import Conductance, Eap, EapIg, EapIgActivations
from acdc.metrics import METRICS

pytestmark = [pytest.mark.filterwarnings("ignore:.* are off by .* of it:acdc.AcdcWarning"), pytest.mark.drawn]


@pytest.mark.parametrize("family", FAMILIES)
def test_conductance_adds_up_to_the_change_of_the_metric_across_every_cut(family):
    setting = setting_of(family)
    change = metric_of(setting, ~every(setting))
    coarse, fine = (Conductance(steps).find(setting, LINEAR).measured["conservation"] for steps in (16, 64))
    assert len(fine["parts"]) == 5
    assert abs(change) > 1e-3
    for found, expected in fine["parts"].values():
        assert expected == pytest.approx(change, abs=1e-9)
        assert found == pytest.approx(change, rel=0.01)
    assert fine["residual"] < coarse["residual"] / 8  # as one in the square of the steps


def test_one_step_with_the_gradient_at_the_clean_end_is_eap():
    setting = setting_of("gpt2")
    scores = Conductance(1, "right").find(setting, LINEAR).scores
    assert np.abs(scores).max() > 0.01
    assert np.allclose(scores, Eap().find(setting, LINEAR).scores, atol=1e-12)
    with pytest.raises(SettingsError, match=r"conductance of one step .* more `steps`"):
        Conductance(1, "right").find(setting, METRICS["kl"])


def test_eap_ig_is_complete_at_the_inputs_cut_and_its_rules_converge_as_they_should():
    """The midpoint rule's error goes as one in the square of the steps, the left rule's as one in the steps."""
    setting = setting_of("gpt2")
    for rule, order in (("left", 1), ("midpoint", 2)):
        errors = [EapIg(n, rule).find(setting, LINEAR).measured["conservation"]["residual"] for n in (8, 16, 32)]
        assert errors[0] > 1e-4
        assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.25)
        assert errors[1] / errors[2] == pytest.approx(2**order, rel=0.25)


def test_with_mean_ablation_path_and_change_end_at_the_same_point():
    """METHODS E 7: complete towards the model on the ablated input, which is no run of a prompt."""
    setting = setting_of("gpt2", "mean")
    inputs = np.array([edge.source.name != "input" for edge in setting.graph.edges()])
    change = metric_of(setting, inputs)
    for method in (EapIg(64, "midpoint"), Conductance(64)):
        for found, expected in method.find(setting, LINEAR).measured["conservation"]["parts"].values():
            assert expected == pytest.approx(change, abs=1e-9)
            assert found == pytest.approx(change, rel=0.02, abs=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_edges_of_a_node_add_up_to_what_its_ablation_costs(family):
    """METHODS E 3: by activations, each node's exact effect by a patched run."""
    setting = setting_of(family)
    parts = EapIgActivations(24).find(setting, LINEAR).measured["conservation"]["parts"]
    assert len(parts) == setting.graph.n_sources
    for node in setting.graph.sources:
        kept = np.array([edge.source != node for edge in setting.graph.edges()])
        exact = metric_of(setting, kept)
        found, expected = parts[node.name]
        assert expected == pytest.approx(exact, abs=1e-9)
        assert found == pytest.approx(exact, rel=0.01, abs=2e-3)
        assert found != 0


def test_steps_are_doubled_until_the_residual_is_within_the_tolerance():
    setting = setting_of("gpt2")
    found = EapIg(2, "midpoint", 0.001).find(setting, LINEAR).measured
    assert found["conservation"]["residual"] <= 0.001
    assert found["cost"]["backwards"] == 2 + 4 + 8 + 16
    assert found["cost"]["note"] == "16 steps in the end"
    loose = EapIg(2, "midpoint", 10.0).find(setting, LINEAR)
    assert np.array_equal(loose.scores, EapIg(2, "midpoint").find(setting, LINEAR).scores)


@pytest.mark.filterwarnings("error")
def test_a_large_residual_is_warned_of():
    with pytest.warns(AcdcWarning, match=r"eap-ig: .* at input they are off by \d+% .*`steps`"):
        EapIg(5).find(setting_of("olmo2"), LINEAR)


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: EapIg(0), SettingsError, "`steps` must be from 1 to 1000, not 0"),
        (lambda: EapIg(5, "midpont"), UnknownNameError, "unknown rule 'midpont': did you mean midpoint"),
        (lambda: EapIg(tolerance=-1.0), SettingsError, "`tolerance` must be 0 or more"),
        (lambda: EapIg(tolerance=float("nan")), SettingsError, "`tolerance` must be 0 or more"),
        (lambda: Conductance(5, "left"), UnknownNameError, "unknown rule 'left'"),
        (lambda: Conductance(1001), SettingsError, "`steps` must be"),
        (lambda: EapIgActivations(0), SettingsError, "`steps` must be"),
    ],
)
def test_wrong_options_are_named(make, error, said):
    with pytest.raises(error, match=said):
        make()

"""RelP and GIM: rules for the way back, each of which acts when it is set and never changes a value."""

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from families import random_model
from torch.nn import functional as F

import acdc
from acdc.engine.gradients import Pass
from acdc.engine.setting import prepare
from acdc.errors import SettingsError, UnknownNameError
from acdc.methods import Eap, Gim, RelP, find_method
from acdc.methods.relevance import relevance_attribution
from acdc.metrics import METRICS
from acdc.models.patched import run_patched
from acdc.models.rules import BackwardRules, by_secant
from acdc.pairs import PromptSet, TokenPair

pytestmark = pytest.mark.drawn

METRIC = METRICS["logit-diff"]
RELP = BackwardRules(norm=True, activation=True, pattern=True, gate=0.5, up=0.5)
EVERY = BackwardRules(True, True, False, 2.0, 0.25, 0.3, 0.5, 0.6, 0.7)
#: Learned and rotary positions, grouped queries, parallel blocks, norms behind blocks and of heads, soft caps, clips,
#: biases, gates, a trained activation, and MLPs whose parts lie in the block.
FAMILIES = [
    "gpt2",
    "llama-biases",
    "gpt-neox-parallel",
    "gemma2",
    "olmo2",
    "olmo-clip",
    "opt",
    "bloom",
    "apertus",
    "stablelm-head-norms",
]
EXPERTS = ["mixtral", "llama4", "gpt-oss", "deepseek-v3"]


def prompts():
    """Random pairs of unequal length with two predictions each."""
    generator = torch.Generator().manual_seed(7)

    def ids(length):
        return tuple(torch.randint(50, (length,), generator=generator).tolist())

    return PromptSet(
        tuple(TokenPair(ids(n), ids(n), (n - 3, n - 1), ((5,), (n,)), ((4,), (9,))) for n in (9, 6, 7)), "random"
    )


@cache
def opened(family, *, biases=True):
    model = random_model(family, torch.float64)
    if not biases:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):
                    parameter.zero_()
    return acdc.load_model(model)


@cache
def setting_of(family, **options):
    return prepare(opened(family, biases=options.pop("biases", True)), prompts(), **options)


def plain(setting, side):
    """Plain attribution through a patched run in which nothing is removed: no rules, no layers apart."""
    graph, given = setting.graph, setting.contributions
    scores, every = np.zeros(graph.n_edges), torch.ones(graph.n_edges, dtype=torch.bool)
    for rows in given.chunks:
        ablated = given.ablated(rows)
        change, read = ablated - given.clean(rows), []
        inputs = given.inputs[:, rows] if side == "clean" else ablated[: len(given.inputs)]

        def note(slots, total, read=read):
            read.append((slots, total))
            return total

        inputs = inputs.clone().requires_grad_()
        _, residual = run_patched(setting.model, graph, setting.tokens[rows], inputs, every, ablated, edit=note)
        at = setting.scored(rows)
        logits = setting.predictions(residual, rows)
        values = METRIC.per_prediction(logits, setting.model_logits[at], setting.answers[at])
        gradients = torch.autograd.grad(values.sum() / len(setting.rows), [total for _, total in read])
        for (slots, _), gradient in zip(read, gradients, strict=True):
            for slot, each in zip(slots, gradient, strict=True):
                scores[slot.edges] += (change[: slot.n_parents] * each).sum((1, 2, 3)).numpy()
    return scores


def near(found, expected):
    size = np.abs(expected).max()
    assert size > 1e-4, "zeros would be compared"
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * size)


@pytest.mark.parametrize("family", [*FAMILIES, *EXPERTS])
def test_a_model_with_rules_is_the_same_bit_by_bit(family):
    setting = setting_of(family)
    rules = EVERY if family in FAMILIES else BackwardRules(True, False, True, 2.0, 0.25, 0.25, 0.5)
    model, graph, given = setting.model, setting.graph, setting.contributions
    rows = slice(0, 2)
    kept = torch.rand(graph.n_edges, generator=torch.Generator().manual_seed(0)) < 0.7

    def run(model):
        x = given.inputs[:, rows].clone().requires_grad_()
        written, residual = run_patched(model, graph, setting.tokens[rows], x, kept, given.ablated(rows))
        return written, model.logits(residual), x

    with torch.no_grad():
        written, logits, _ = run(model)
    ruled_written, ruled_logits, x = run(model.with_rules(rules))
    assert torch.equal(written, ruled_written)
    assert torch.equal(logits, ruled_logits)
    (ruled,) = torch.autograd.grad(ruled_logits.square().sum(), x)
    _, logits, x = run(model)
    (gradient,) = torch.autograd.grad(logits.square().sum(), x)
    assert not torch.allclose(ruled, gradient, rtol=1e-3, atol=0)
    _, logits, x = run(model)  # and the model itself has been left as it was
    assert torch.equal(gradient, torch.autograd.grad(logits.square().sum(), x)[0])


def cuts_of_values(setting, rules):
    """Over each cut, what its sources write times the relevance of its slots; and what must come back."""
    model = setting.model.with_rules(rules)
    rows, graph = setting.contributions.chunks[0], setting.graph
    ran = Pass(replace(setting, model=model), METRIC, rows, setting.contributions.inputs[:, rows])
    by_edge = np.zeros(graph.n_edges)

    def take(slots, relevance):
        for slot, each in zip(slots, relevance, strict=True):
            by_edge[slot.edges] = (ran.written[: slot.n_parents] * each).sum((1, 2, 3)).numpy()

    ran.at_slots(take)
    sums = {}
    for n in range(graph.n_inputs, graph.n_sources + 1):
        behind = [slot for slot in graph.slots if slot.node.index >= n]
        sums[n] = sum(by_edge[slot.edges][: min(n, slot.n_parents)].sum() for slot in behind)
    # The metric is the model's logit difference less this one's; what is linear in logits is the latter.
    right, wrong = (getattr(setting.answers, name)[:, 0] for name in ("right", "wrong"))
    at = torch.arange(len(right))
    return sums, -float((setting.model_logits[at, right] - setting.model_logits[at, wrong]).mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_without_biases_relevance_is_conserved_over_any_cut(family):
    setting = setting_of(family, biases=False)
    sums, expected = cuts_of_values(setting, RELP)
    assert abs(expected) > 1e-2
    near(list(sums.values()), np.full(len(sums), expected))


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "llama"])
def test_without_the_rule_of_attention_it_is_at_the_logits_alone(family):
    sums, expected = cuts_of_values(
        setting_of(family, biases=False), BackwardRules(norm=True, activation=True, gate=0.5, up=0.5)
    )
    *others, last = sums.values()
    near(last, expected)
    assert abs(others[0] - expected) > 1e-3 * abs(expected)


@pytest.mark.parametrize("side", ["clean", "corrupted"])
@pytest.mark.parametrize("family", FAMILIES)
def test_with_biases_their_share_is_counted(family, side):
    setting = setting_of(family, batch_size=2)
    told = RelP(side, attention_rule=True).find(setting, METRIC).measured["conservation"]
    cuts = [f"m{layer}" for layer in range(setting.graph.cfg.n_layers)]
    assert list(told["parts"]) == ["input", *cuts]
    assert told["residual"] < 1e-10
    assert abs(told["scale"]) > 1e-2
    if family == "gpt2":
        expected = [expected for _, expected in told["parts"].values()]
        assert max(expected) - min(expected) > 1e-3, "its biases have a share"
    told = RelP(side).find(setting, METRICS["kl"] if side == "corrupted" else METRIC).measured["conservation"]
    assert list(told["parts"]) == [cuts[-1]]
    assert told["residual"] < 1e-10


def test_the_meter_shows_a_rule_that_doesn_t_act():
    """What is conserved is measured by itself: relevance through a pattern that isn't constant is found out."""
    setting = setting_of("gpt2")
    rules = BackwardRules(norm=True, activation=True, gate=0.5, up=0.5)
    ruled = replace(setting, model=setting.model.with_rules(rules))
    _, told = relevance_attribution(ruled, METRIC, 1.0, cuts="all")
    assert told.residuals["m1"] < 1e-10
    assert told.residuals["input"] > 1e-3
    assert RelP(norm_rule=False).find(setting, METRIC).measured["conservation"]["identity"].endswith("conserved")


@pytest.mark.parametrize("side", ["clean", "corrupted"])
@pytest.mark.parametrize("family", ["gpt2", "llama-biases", "gpt-neox-parallel", "gemma2", "olmo2", "mixtral"])
def test_without_rules_it_is_plain_attribution(family, side):
    for options in ({"batch_size": 3}, {"ablation": "mean"}):
        setting = setting_of(family, **options)
        expected = plain(setting, side)
        neutral = dict.fromkeys(("query_scale", "key_scale", "value_scale", "gate_scale", "up_scale"), 1)
        near(Gim(side, norm_rule=False, temperature=1, **neutral).find(setting, METRIC).scores, expected)
        near(Eap(side).find(setting, METRIC).scores, expected)
        near(RelP(side, False, False, False).find(setting, METRIC).scores, expected)


CHANGES = [
    *[("relp", name, "llama") for name in ("norm_rule", "activation_rule", "gate_rule", "attention_rule")],
    *[("relp", name, "gpt2") for name in ("norm_rule", "activation_rule", "attention_rule")],
    *[("relp", name, "gemma2") for name in ("norm_rule", "activation_rule", "gate_rule", "attention_rule")],
    *[("gim", name, "gpt2") for name in ("norm_rule", "temperature", "query_scale", "key_scale", "value_scale")],
    *[("gim", name, "llama") for name in ("gate_scale", "up_scale")],
    *[("gim", name, "gpt-neox-parallel") for name in ("norm_rule", "temperature", "query_scale", "value_scale")],
    *[("gim", name, "mixtral") for name in ("norm_rule", "temperature", "query_scale")],
]


@pytest.mark.parametrize(("method", "name", "family"), CHANGES)
def test_each_switch_changes_scores(method, name, family):
    """Table E's 8th row: the rules of other implementations were silently off."""
    own = {"gate_scale": 1, "up_scale": 1} if family == "mixtral" else {}
    with_it = find_method(method, **own)
    value = getattr(with_it, name)
    other = not value if isinstance(value, bool) else 1.0
    scores = [
        each.find(setting_of(family), METRIC).scores for each in (with_it, find_method(method, **own | {name: other}))
    ]
    assert np.abs(scores[0] - scores[1]).max() > 1e-3 * np.abs(scores[0]).max()


def test_the_half_rule_does_nothing_without_gates():
    scores = [RelP(gate_rule=rule).find(setting_of("gpt2"), METRIC).scores for rule in (True, False)]
    np.testing.assert_array_equal(*scores)
    scores = [Gim(gate_scale=s, up_scale=s).find(setting_of("gpt2"), METRIC).scores for s in (0.5, 1.0)]
    near(*scores)


def test_where_heads_look_is_no_business_of_queries_and_keys_by_the_rule_of_attention():
    scores = RelP(attention_rule=True).find(setting_of("gpt2"), METRIC).scores
    for slot in setting_of("gpt2").graph.slots:
        assert (np.abs(scores[slot.edges]).max() > 1e-6) == (slot.letter not in ("q", "k"))


@pytest.mark.parametrize(
    ("function", "slope"),
    [(F.gelu, 0.5), (F.silu, 0.5), (F.relu, 0.0), (lambda z: 3 * torch.tanh(z / 3), 1.0)],
)
def test_at_0_the_slope_is_the_derivative(function, slope):
    x = torch.tensor([-2.0, 0.0, 1e-300, 3.0], dtype=torch.float64, requires_grad=True)
    y = by_secant(function, x)
    (found,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y, function(x))
    assert float(found[1]) == slope
    assert torch.allclose(found[::3] * x[::3], y[::3], rtol=1e-14)
    assert found.isfinite().all()


def test_an_mlp_at_0_has_its_derivative_s_relevance():
    """A unit that gets 0 would be 0/0."""
    model = random_model("gpt2", torch.float64)
    with torch.no_grad():
        for block in model.transformer.h:
            block.mlp.c_fc.weight[:, :9] = 0
            block.mlp.c_fc.bias[:9] = 0
    setting = prepare(acdc.load_model(model), prompts())
    assert np.isfinite(RelP().find(setting, METRIC).scores).all()


@pytest.mark.parametrize("family", EXPERTS)
def test_inside_of_experts_no_rule_is_followed_in_silence(family):
    setting = setting_of(family)
    layer = 1 if family in ("llama4", "deepseek-v3") else 0
    for method, instead in (
        (RelP(), "give `activation_rule=False` and `gate_rule=False`"),
        (RelP(activation_rule=False), "give `activation_rule=False` and `gate_rule=False`"),
        (Gim(), "give `gate_scale=1` and `up_scale=1`"),
    ):
        with pytest.raises(
            SettingsError, match=rf"the MLP of layer {layer} \(\w+\) is a mixture of experts.*{instead}"
        ):
            method.find(setting, METRIC)
    for method in (RelP(activation_rule=False, gate_rule=False), Gim("corrupted", gate_scale=1, up_scale=1)):
        scores = method.find(setting, METRIC).scores
        assert np.abs(scores - plain(setting, "corrupted")).max() > 1e-3 * np.abs(scores).max()


@pytest.mark.parametrize("metric", ["kl", "l2"])
@pytest.mark.parametrize("method", [RelP("clean"), Gim("clean")])
def test_a_metric_without_gradient_at_the_model_is_refused_there(method, metric):
    with pytest.raises(SettingsError, match=f'{method.name} takes .* where that of {metric} is 0.*`side="corrupted"`'):
        method.find(setting_of("gpt2"), METRICS[metric])
    assert np.abs(type(method)("corrupted").find(setting_of("gpt2"), METRICS[metric]).scores).max() > 1e-3
    for other in ("prob-diff", "answer-logprob"):
        assert np.abs(method.find(setting_of("gpt2"), METRICS[other]).scores).max() > 1e-6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"temperature": 0}, "`temperature` must be a positive number, not 0."),
        ({"temperature": float("nan")}, "`temperature` must be a positive number, not nan."),
        ({"query_scale": -0.5}, "`query_scale` must be a number of at least 0, not -0.5."),
        ({"up_scale": float("inf")}, "`up_scale` must be a number of at least 0, not inf."),
        ({"norm_rule": 1}, "`norm_rule` must be True or False, not 1."),
        ({"norm": True}, "the method gim has no `norm`"),
    ],
)
def test_options_that_make_no_sense(options, said):
    with pytest.raises(SettingsError, match=re.escape(said)):
        find_method("gim", **options)


@pytest.mark.parametrize("method", ["relp", "gim"])
def test_a_side_is_clean_or_corrupted(method):
    with pytest.raises(UnknownNameError, match=r"unknown side 'corupted': did you mean corrupted\?"):
        find_method(method, side="corupted")

"""Frozen attention and norms, against Hugging Face's own models whose softmax and norms give what they gave before."""

from contextlib import contextmanager
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from families import random_model
from test_path_patching import pairs
from tiny import pairs as lines
from tiny import save_toy, write_pairs

import acdc
from acdc.analysis.paths import patch_paths
from acdc.engine import circuits
from acdc.engine.gradients import Pass
from acdc.engine.setting import prepare
from acdc.errors import MemoryLimitError, RunFolderError, SettingsError, UnknownNameError
from acdc.methods import Eap, Patching
from acdc.metrics import METRICS
from acdc.models.rules import BackwardRules

pytestmark = pytest.mark.drawn

FREEZE = (("attention",), ("norms",), ("attention", "norms"))
#: transformers has patterns, rotations and norms in float32, in a float64 model too.
NEAR = {"gpt2": 1e-6, "llama": 1e-5, "gpt-neox-parallel": 1e-5, "gemma2": 1e-4}
EVERY = ("gpt2", "llama", "gpt-neox-parallel", "gemma2", "olmo2", "mixtral", "opt")


@pytest.fixture(scope="module")
def opened():
    known = {}

    def opened(family):
        if family not in known:
            theirs = random_model(family, torch.float64)
            known[family] = theirs, acdc.load_model(theirs)
        return known[family]

    return opened


@contextmanager
def taking(model, monkeypatch, attention, norms, seen):
    """With `seen` empty, what norms divide by and how heads look is put into it; else that is taken out of it again."""
    first, hooks, softmax = not seen, [], torch.nn.functional.softmax

    def norm(module, args, output):
        x = args[0]
        is_layer = isinstance(module, torch.nn.LayerNorm)
        centred = x - x.mean(-1, keepdim=True) if is_layer else x
        eps = module.eps if hasattr(module, "eps") else module.variance_epsilon
        if first:
            seen.setdefault(module, (centred.square().mean(-1, keepdim=True) + eps).rsqrt())
        weight = 1 + module.weight if "Gemma" in type(module).__name__ else module.weight
        y = centred * seen[module] * weight
        return y + module.bias if is_layer else y

    def looking(scores, *args, **options):
        if first:
            seen.setdefault("patterns", []).append(softmax(scores, *args, **options))
            return seen["patterns"][-1]
        return seen["patterns"].pop(0)

    if norms:
        norms = [module for module in model.modules() if "Norm" in type(module).__name__]
        hooks = [module.register_forward_hook(norm) for module in norms]
    with monkeypatch.context() as patched:
        if attention:
            patched.setattr(torch.nn.functional, "softmax", looking)
        yield
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize(("family", "freeze"), list(product(NEAR, FREEZE)))
def test_the_corrupted_run_is_hugging_faces_with_the_same_frozen(opened, monkeypatch, family, freeze):
    theirs, model = opened(family)
    setting, plain = prepare(model, pairs(), freeze=freeze), prepare(model, pairs())
    ids = {which: torch.tensor([getattr(pair, which) for pair in pairs().pairs]) for which in ("clean", "corrupted")}
    seen, parts = {}, ("attention" in freeze, "norms" in freeze)
    with torch.no_grad():
        for which, logits in (("clean", setting.model_logits), ("corrupted", setting.corrupted_logits)):
            with taking(theirs, monkeypatch, *parts, seen):
                expected = theirs(ids[which]).logits[:, -1].double()
            assert (logits - expected).abs().max() < NEAR[family], which
    assert (setting.model_logits - plain.model_logits).abs().max() < 1e-10
    assert (setting.corrupted_logits - plain.corrupted_logits).abs().max() > 1e-3


@pytest.mark.parametrize("family", EVERY)
def test_every_edge_ablated_is_the_corrupted_run_and_none_is_the_model(opened, family):
    for freeze in FREEZE:
        setting = prepare(opened(family)[1], pairs((5, 7)), freeze=freeze)
        none, every = (np.full(setting.graph.n_edges, kept) for kept in (False, True))
        ablated, whole = circuits.run(setting, [none, every])
        assert (ablated - setting.corrupted_logits).abs().max() < 1e-10
        assert (whole - setting.model_logits).abs().max() < 1e-10
        through = patch_paths(setting, "input->logits", rest="recomputed").logits
        assert np.abs(through - setting.corrupted_logits.numpy()).max() < 1e-10


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "gpt-neox-parallel"])
def test_gradients_are_those_of_a_run_with_weighted_edges(opened, family):
    for freeze in FREEZE:
        setting = prepare(opened(family)[1], pairs(), freeze=freeze)
        weights = torch.ones(setting.graph.n_edges, dtype=torch.float64, requires_grad=True)
        (logits,) = circuits.run(setting, [weights])
        METRICS["logit-diff"].per_prediction(logits, setting.model_logits, setting.answers).mean().backward()
        scores = Eap().find(setting, METRICS["logit-diff"], None).scores
        assert np.abs(scores + weights.grad.numpy()).max() < 1e-9
        q_and_k = [edge.number for edge in setting.graph.edges() if edge.slot.letter in ("q", "k")]
        assert bool(scores[q_and_k].any()) == ("attention" not in freeze)


def slot_gradients(setting):
    found = {}
    run = Pass(setting, METRICS["logit-diff"], setting.contributions.chunks[0], setting.contributions.inputs)
    run.at_slots(lambda slots, at: found.update({slot.name: each for slot, each in zip(slots, at, strict=True)}))
    return found


def test_on_the_clean_prompts_gradients_are_those_by_the_rule_of_a_constant_norm(opened):
    plain, frozen = (prepare(opened("gemma")[1], pairs(), freeze=freeze) for freeze in ((), ("norms",)))
    by_rule = slot_gradients(replace(plain, model=plain.model.with_rules(BackwardRules(norm=True))))
    for name, gradient in slot_gradients(frozen).items():
        assert (gradient - by_rule[name]).abs().max() < 1e-10
    rules = BackwardRules(activation=True, gate=0.5, up=0.5)
    (logits,) = circuits.run(
        replace(frozen, model=frozen.model.with_rules(rules)), [np.zeros(frozen.graph.n_edges, dtype=bool)]
    )
    assert (logits - frozen.corrupted_logits).abs().max() < 1e-10


def test_with_both_frozen_and_no_mlps_attribution_is_exact(tmp_path):
    model = acdc.load_model(save_toy(tmp_path / "toy", normalization_type="LNPre"), dtype="float64")
    prompts = acdc.prompts(model, write_pairs(tmp_path / "pairs.jsonl"))
    for freeze, exact in ((None, False), ("norms", False), ("attention,norms", True)):
        setting = acdc.set_up(model, prompts, metric="logit-diff", freeze=freeze)
        a, b = (method.find(setting, METRICS["logit-diff"], None).scores for method in (Eap(), Patching()))
        assert (np.abs(a - b).max() < 1e-9) == exact


def test_a_frozen_model_is_another_and_the_one_it_was_made_of_stays_as_it_was(opened):
    model = opened("gpt2")[1]
    setting = prepare(model, pairs(), freeze=("norms",))
    assert (model.frozen, setting.model.frozen, setting.model.thawed is model) == ((), ("norms",), True)
    again = prepare(setting.model, pairs(swapped=True), freeze=("attention",))
    fresh = prepare(model, pairs(swapped=True), freeze=("attention",))
    assert (again.corrupted_logits == fresh.corrupted_logits).all()
    same = prepare(again.model, pairs(swapped=True))
    assert (same.corrupted_logits == fresh.corrupted_logits).all()
    assert (prepare(model, pairs()).corrupted_logits != setting.corrupted_logits).any()
    with pytest.raises(SettingsError, match="frozen on"):
        setting.model.logits(setting.contributions.clean_residual[:, -2:])
    with pytest.raises(MemoryLimitError, match="all 3 prompts are run at a time, and 2 are asked for"):
        prepare(model, pairs(), freeze=("norms",), batch_size=2)


@pytest.mark.random_models
def test_a_run_keeps_what_was_frozen_and_is_judged_with_it(opened, tmp_path):
    from tiny import save_gpt2

    model, task = save_gpt2(tmp_path / "model"), write_pairs(tmp_path / "pairs.jsonl", lines(8))
    options = {"n": 4, "threshold": 0.002, "progress": False, "out": tmp_path / "run"}
    run = acdc.discover(model, task, freeze=["norms", "attention"], **options)
    assert (run.record.request.freeze, run.circuit.found.freeze) == ("attention,norms", "attention,norms")
    assert run.record.engine == "reference"
    report = acdc.evaluate(tmp_path / "run", progress=False)
    assert report[0].evaluation.circuit.metrics["kl"] == pytest.approx(run.used.circuit.metrics["kl"], abs=1e-7)
    saved = tmp_path / "run" / "circuit.json"
    assert acdc.evaluate(acdc.Circuit.load(saved), progress=False)[0].evaluation == report[0].evaluation
    thawed = acdc.evaluate(tmp_path / "run", freeze="none", progress=False)
    assert abs(thawed[0].evaluation.circuit.metrics["kl"] - run.used.circuit.metrics["kl"]) > 1e-5
    assert report.to_json()["judgements"][0]["freeze"] == ["attention", "norms"]
    assert acdc.discover(model, task, freeze="both", resume=True, **options).record == run.record
    with pytest.raises(RunFolderError, match="freeze was 'attention,norms' and is not given"):
        acdc.discover(model, task, resume=True, **options)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("norm", UnknownNameError, "unknown part to freeze 'norm': did you mean norms"),
        (["attention", "mlps"], UnknownNameError, "known: attention, both, none, norms"),
        ("attention,", UnknownNameError, "''"),
        (3, SettingsError, "`freeze` must be names like attention,norms"),
        ([3], SettingsError, "`freeze` must be names"),
    ],
)
def test_what_cannot_be_frozen_is_refused(given, error, said):
    with pytest.raises(error, match=said):
        acdc.discover("tiny-tasks", "ioi", freeze=given, threshold=0.1)
    with pytest.raises(error, match=said):
        acdc.evaluate("none", freeze=given)

"""An ablation is a class; what is registered is known to the engines, to messages and to the command."""

from types import MappingProxyType

import pytest
import torch
from tiny import gpt2, pairs, write_pairs

import acdc
from acdc.engine import ablations
from acdc.engine.ablations import Ablation, check_ablation
from acdc.engine.choice import make_engine
from acdc.engine.setting import prepare
from acdc.errors import UnknownNameError
from acdc.metrics import METRICS
from acdc.pruning.pruner import Acdc, AcdcSettings


class Halved(Ablation):
    """Half of the value on the corrupted prompt."""

    name = "halved"

    def values(self, corrupted):
        return corrupted() / 2


@pytest.fixture
def halved(monkeypatch):
    known = MappingProxyType({**ablations.ABLATIONS, "halved": Halved})
    for module in ("ablations", "contributions", "fast.places"):
        monkeypatch.setattr(f"acdc.engine.{module}.ABLATIONS", known)


@pytest.fixture
def prompts(tmp_path):
    return acdc.find_task(write_pairs(tmp_path / "pairs.jsonl", pairs(5))).prompts(None)


@pytest.fixture(scope="module")
def model():
    return acdc.load_model(gpt2(), dtype="float64")


@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_new_one_runs_in_both_engines(halved, model, prompts, batch_size):
    corrupted, made = (
        prepare(model, prompts, ablation=name, batch_size=batch_size) for name in ("corrupted", "halved")
    )
    for rows in made.contributions.chunks:
        torch.testing.assert_close(2 * made.contributions.ablated(rows), corrupted.contributions.ablated(rows))
    found = []
    for engine in ("fast", "reference"):
        found.append(list(Acdc(make_engine(engine, made, METRICS["kl"]), AcdcSettings(0.01)).decisions()))
    assert [(d.edge, d.kept) for d in found[0]] == [(d.edge, d.kept) for d in found[1]]
    assert [d.after for d in found[0]] == pytest.approx([d.after for d in found[1]], abs=1e-9)


@pytest.mark.random_models
def test_a_new_one_can_be_asked_for(halved, gpt2_model, tmp_path):
    path = write_pairs(tmp_path / "pairs.jsonl", pairs(4))
    run = acdc.discover(gpt2_model, path, n=2, ablation="halved", threshold=0.1, progress=False)
    assert run.circuit.found.ablation == "halved"
    with pytest.raises(UnknownNameError, match="halved"):
        check_ablation("halvd")


def test_the_mean_is_over_prompts_that_reach_a_position(model):
    made = [acdc.PromptPair(clean, clean[::-1]) for clean in ((1, 2, 3), (4, 5), (6, 7, 8), (9, 10))]
    prompts = acdc.find_task(made).prompts(None)
    whole, chunks = (prepare(model, prompts, ablation="mean", batch_size=size).contributions for size in (None, 3))
    clean, carried = whole.clean(slice(0, 4)), whole.ablated(slice(0, 4))
    torch.testing.assert_close(carried[:, 1, :2], clean[:, :, :2].mean(1))
    torch.testing.assert_close(carried[:, 1, 2], clean[:, [0, 2], 2].mean(1))
    torch.testing.assert_close(chunks.ablated(slice(0, 3)), carried[:, :3])

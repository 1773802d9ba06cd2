"""Every promised family: the nodes add up to the Hugging Face model's own logits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from families import CONFIGS, FLOAT32_ONLY, NOT_OPENED, OPENED, PARALLEL, REFUSED, random_model, table

import acdc
from acdc.engine.agreement import check_prompts
from acdc.engine.fast.engine import FastEngine
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.metrics import METRICS
from acdc.models.patched import run_patched
from acdc.models.positions import forget_lengths
from acdc.pairs import PromptSet, TokenPair

pytestmark = pytest.mark.drawn


def prompts(n: int = 3) -> PromptSet:
    """Random pairs of unequal length whose every position counts."""
    generator = torch.Generator().manual_seed(7)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(50, (length,), generator=generator).tolist())

    lengths = [12, 7, 10][:n]
    return PromptSet(tuple(TokenPair(ids(k), ids(k), tuple(range(k))) for k in lengths), "random")


def own_logits(theirs, prompts):
    """Every prompt's logits alone, ``[all positions, vocab]``."""
    rows = []
    with torch.no_grad():
        for ids in prompts:
            forget_lengths(theirs)
            rows.append(theirs(torch.tensor([ids])).logits[0].double())
    return torch.cat(rows)


@pytest.mark.parametrize("family", CONFIGS)
def test_the_graph_gives_the_models_own_logits_and_the_fast_engine_what_the_reference_gives(family):
    dtype = torch.float32 if family in FLOAT32_ONLY else torch.float64
    theirs = random_model(family, dtype)
    pairs = prompts()
    clean, corrupted = (
        own_logits(theirs, which) for which in ([p.clean for p in pairs.pairs], [p.corrupted for p in pairs.pairs])
    )
    model = acdc.load_model(theirs)
    setting = prepare(model, pairs)
    found = check_prompts(setting)
    assert found.difference < 2e-5 < found.tolerance * (10 if dtype == torch.float64 else 1)
    engine = ReferenceEngine(setting, METRICS["kl"])
    every = engine.kept.copy()
    assert (engine.logits(every) - clean).abs().max() < 2e-5
    assert (engine.logits(~every) - corrupted).abs().max() < 2e-5
    assert (clean - corrupted).abs().max() > 0.5
    assert model.graph_config.parallel_attn_mlp == (family in PARALLEL)
    graph, given = setting.graph, setting.contributions
    assert graph.n_edges == (102 if family in PARALLEL else 110)
    # In one sum, as an unpatched run makes it, or slot by slot.
    none = given.clean(slice(0, 3)).new_zeros(()).expand(graph.n_sources, *given.inputs.shape[1:])
    written, residual = run_patched(model, graph, setting.tokens, given.inputs, torch.from_numpy(every), none)
    assert torch.allclose(given.clean(slice(0, 3)), written, atol=2e-5)
    assert torch.allclose(given.clean_residual, residual, atol=2e-5)
    agree(engine, prepare(model, pairs, batch_size=2), 1e-4 if dtype == torch.float32 else 1e-8)


def agree(reference, setting, close):
    """Both engines' metrics while edges are taken out from the top, some slots of each kind."""
    assert FastEngine.serves(setting.model)
    fast = FastEngine(setting, METRICS["kl"])
    sizes = []
    sources = np.array([edge.source.name for edge in reference.graph.edges()])
    for slot in list(reversed(reference.graph.slots))[::3]:
        if slot.name != "logits" and not reference.kept[sources == slot.node.name].any():
            continue  # nothing reads it any more; such slots aren't tried
        edges = np.arange(slot.edges.start, slot.edges.stop)
        groups = [edges[::2], edges[1::2]] if len(edges) > 1 else [edges]
        expected, got = (list(engine.removals(groups)) for engine in (reference, fast))
        assert got == pytest.approx(expected, rel=close, abs=close), slot.name
        sizes += expected
        for engine in (reference, fast):
            engine.remove(groups[0])
    assert max(sizes) > 0.05


@pytest.mark.parametrize("family", REFUSED)
def test_what_is_refused_is_named(family):
    with pytest.raises(acdc.AcdcError, match=REFUSED[family][1]):
        acdc.load_model(random_model(family))


def test_the_readmes_table_is_of_these_families():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert table() in readme, "the README's tables of models differ from `python tests/families.py`"
    for rows, known in ((OPENED, CONFIGS), (NOT_OPENED, REFUSED)):
        listed = [name for _, _, names in rows for name in names]
        assert sorted(listed) == sorted(known)


@pytest.mark.parametrize(
    "family",
    ["gpt2", "gemma2", "gpt-neox-parallel", "olmo2", "phi3-longrope", "llama-dynamic", "llama4", "ministral3", "bloom"],
)
def test_a_prompt_gives_the_same_alone_and_beside_longer_ones(family):
    model = acdc.load_model(random_model(family))
    pairs = prompts()
    together = ReferenceEngine(prepare(model, pairs), METRICS["kl"])
    half = together.kept.copy()
    half[::2] = False
    logits = together.logits(half)
    start = 0
    for pair in pairs.pairs:
        alone = ReferenceEngine(prepare(model, PromptSet((pair,), "alone")), METRICS["kl"]).logits(half)
        assert (alone - logits[start : start + len(alone)]).abs().max() < 2e-5
        start += len(alone)


@pytest.mark.parametrize("family", ["gpt2", "opt"])
def test_split_input_adds_up_and_its_halves_can_be_ablated_apart(family):
    model = acdc.load_model(random_model(family))
    engine = ReferenceEngine(prepare(model, prompts(), split_input=True), METRICS["kl"])
    assert engine.metric() < 1e-9
    costs = []
    for source in ("embed", "pos_embed"):
        kept = engine.kept.copy()
        for edge in engine.graph.edges():
            kept[edge.number] &= edge.source.name != source
        costs.append(engine.metric_of(kept))
    assert costs[0] > 1e-3
    # Clean and corrupted prompts have the same positions.
    assert costs[1] < 1e-9


def test_input_of_a_rotary_model_cant_be_split():
    model = acdc.load_model(random_model("llama"))
    with pytest.raises(acdc.AcdcError, match="can't be split"):
        prepare(model, prompts(), split_input=True)


@pytest.mark.parametrize("family", ["gemma2", "gemma3", "olmo2"])
def test_heads_behind_a_shared_norm_are_exact_in_sum(family):
    model = acdc.load_model(random_model(family, torch.float32))
    assert model.tied_heads
    attention = model.attention[1]
    heads = torch.randn(4, 2, 5, 32)
    contributions, rest = attention.contributions(heads)
    total = contributions.sum(0) if rest is None else contributions.sum(0) + rest
    summed = heads.sum(0) if attention.b_O is None else heads.sum(0) + attention.b_O
    assert (total - attention.post_norm(summed)).abs().max() < 1e-5

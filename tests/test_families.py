"""Every promised family: the nodes add up to the Hugging Face model's own logits."""

import pytest
import torch
from families import CONFIGS, PARALLEL, random_model

import acdc
from acdc.engine.patched import run_patched
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.graph import Graph
from acdc.metrics import METRICS
from acdc.prompts import PromptSet, TokenPair


def prompts(n: int = 3) -> PromptSet:
    """Random pairs of unequal length whose every position counts."""
    generator = torch.Generator().manual_seed(7)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(50, (length,), generator=generator).tolist())

    lengths = [12, 7, 10][:n]
    return PromptSet(tuple(TokenPair(ids(k), ids(k), tuple(range(k))) for k in lengths), "random")


@pytest.mark.parametrize("family", CONFIGS)
def test_whole_graph_gives_the_models_own_logits_and_no_edge_gives_the_corrupted_ones(family):
    theirs = random_model(family)
    pairs = prompts()
    with torch.no_grad():
        clean, corrupted = (
            torch.cat([theirs(torch.tensor([ids])).logits[0] for ids in which]).double()
            for which in ([pair.clean for pair in pairs.pairs], [pair.corrupted for pair in pairs.pairs])
        )
    model = acdc.load_model(theirs)
    engine = ReferenceEngine(prepare(model, pairs), METRICS["kl"])
    every = engine.kept.copy()
    assert (engine.logits(every) - clean).abs().max() < 2e-5
    assert (engine.logits(~every) - corrupted).abs().max() < 2e-5
    assert (clean - corrupted).abs().max() > 0.5
    assert model.graph_config.parallel_attn_mlp == (family in PARALLEL)
    assert Graph(model.graph_config).n_edges == (102 if family in PARALLEL else 110)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_run_with_every_edge_in_one_sum_is_the_patched_run(family):
    model = acdc.load_model(random_model(family))
    setting = prepare(model, prompts())
    graph, given = setting.graph, setting.contributions
    every, none = torch.ones(graph.n_edges, dtype=torch.bool), given.clean(slice(0, 3)).new_zeros(())
    written, residual = run_patched(
        model, graph, setting.tokens, given.inputs, every, none.expand(graph.n_sources, *given.inputs.shape[1:])
    )
    assert torch.allclose(given.clean(slice(0, 3)), written, atol=2e-5)
    assert torch.allclose(given.clean_residual, residual, atol=2e-5)


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "gpt-neox-parallel", "olmo2"])
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

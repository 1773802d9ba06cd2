"""What nodes are in TransformerLens' terms: the code gives the engine's own values, on every family of models.

``python tests/test_nodes.py`` prints docs/nodes.md.
"""

import sys
import warnings
from pathlib import Path

import pytest
import torch
from families import CONFIGS, FLOAT32_ONLY, random_model
from tiny import save_toy

from acdc.errors import SettingsError
from acdc.graph import Graph
from acdc.models.loading import load_model
from acdc.models.patched import run_unpatched
from acdc.models.tokens import Tokens

PAGE = Path(__file__).parents[1] / "docs" / "nodes.md"
#: Some of each kind: learned positions, ALiBi with normed embeddings, grouped queries, parallel blocks, norms behind
#: the blocks, multipliers, a latent, norms behind the rotation.
FAMILIES = ("gpt2", "opt", "bloom", "llama", "gpt-neox-parallel", "gemma2", "granite", "deepseek-v3", "hunyuan")
#: The models of the page: what stands above their tables.
SHOWN = {
    "gpt2": "GPT-2: learned positions, biases",
    "llama": "Llama: rotated queries and keys, grouped keys and values",
    "gpt-neox-parallel": "GPT-NeoX, Pythia: parallel blocks, so that MLPs read what attention reads",
    "gemma2": "Gemma 2: norms behind attention and MLPs, soft caps",
}
IDS = ((1, 2, 3, 4, 5, 6), (7, 3, 2, 9, 4, 4))
#: Their own code norms in float32 even in float64.
CLOSE = {"rtol": 0, "atol": 1e-5}


def opened(family):
    return load_model(random_model(family, torch.float64), dtype="float64")


@torch.no_grad()
def check(model, terms, graph, inputs):
    """Every node's and slot's code gives what the engine has; gives how many were looked at."""
    tokens = Tokens.of(list(IDS), model.device)
    written, last = run_unpatched(model, graph, tokens, inputs)
    _, cache = model.bridge.run_with_cache(torch.tensor(IDS))
    seen = 0
    for one in terms:
        value = eval(one.code, {"cache": cache, "bridge": model.bridge})
        assert all(hook in one.code and hook in cache for hook in one.hooks)
        if one.is_slot:
            slot = graph.slot(one.name)
            bias = last - written.sum(0) if slot.node.kind == "logits" else None
            expected = written[: slot.n_parents].sum(0)
            if bias is None:  # what belongs to no node is in it as well
                assert ((value - expected) - (value - expected)[:1, :1]).abs().max() < 1e-4 * value.abs().max()
                continue
            torch.testing.assert_close(value, expected + bias, **CLOSE)
        elif one.name == "logits":
            assert (value.argmax(-1) == model.logits(last).argmax(-1)).all()
        else:
            torch.testing.assert_close(value, written[graph.node(one.name).index], **CLOSE)
        seen += 1
    return seen


@pytest.mark.parametrize("family", FAMILIES)
def test_code_gives_what_the_engine_has(family):
    model = opened(family)
    graph = Graph(model.graph_config)
    terms = model.nodes()
    assert [one.name for one in terms if not one.is_slot] == [node.name for node in graph.nodes]
    assert sorted(one.name for one in terms if one.is_slot) == sorted(slot.name for slot in graph.slots)
    assert check(model, terms, graph, model.embed(Tokens.of(list(IDS)))) == len(graph.nodes) + 1


def test_a_split_input_is_two_nodes():
    model = opened("gpt2")
    graph = Graph.from_config(2, 4, 32, split_input=True)
    terms = model.nodes(split_input=True)
    assert [one.equation for one in terms[:2]] == ["W_E[token]", "W_pos[position]"]
    check(model, terms, graph, model.embed(Tokens.of(list(IDS)), split=True))
    with pytest.raises(SettingsError, match="has no position embeddings"):
        opened("llama").nodes(split_input=True)


@pytest.mark.parametrize("attn_only", [True, False])
def test_models_with_transformerlens_own_weights_have_the_same_terms(tmp_path, attn_only):
    more = {} if attn_only else {"d_mlp": 24, "act_fn": "relu"}
    model = load_model(save_toy(tmp_path / "toy", attn_only=attn_only, **more), dtype="float64")
    graph = Graph(model.graph_config)
    assert check(model, model.nodes(), graph, model.embed(Tokens.of(list(IDS)))) == len(graph.nodes) + 1
    q = next(one for one in model.nodes() if one.name == "a1.h0<q>")
    assert q.equation == "q = x @ W_Q[0] + b_Q[0]"  # no norm


def test_equations_say_what_is_special():
    found = {one.name: one.equation for one in opened("hunyuan").nodes() if one.name.startswith("a1.h3")}
    assert found["a1.h3<q>"] == "q = q_norm(rotated(ln1(x) @ W_Q[3]))"
    assert found["a1.h3<v>"] == "v = ln1(x) @ W_V[1]"  # two groups of two heads
    assert opened("granite").nodes()[0].equation == "3 * W_E[token]"
    assert opened("bloom").nodes()[0].equation == "embed(token)"  # which it norms


HEAD = """# Nodes in TransformerLens' terms

What each slot of a graph reads and each node writes, as code. With a model of acdc and prompts of one length,

    model = acdc.load_model("tiny-tasks")
    bridge = model.bridge                      # TransformerLens' TransformerBridge
    _, cache = bridge.run_with_cache(tokens)   # tokens: [batch, pos]

each expression is `[batch, pos, d_model]`. `l` is a layer, `h` a head, `g` its group of keys and values; `t` and `s`
are positions, `x` is what the slot reads. `print(model)` has this table of any model; `model.nodes()` names every node.

In the model's own run all heads of a layer read the same residual stream. In a circuit each slot reads a sum of its
own: the current values of its kept edges and the ablated ones of the others. What belongs to no node, such as
attention's output bias `b_O`, always stays.

`tests/test_nodes.py` runs every expression against the engine on some families, `python tests/test_nodes.py all` on
all that the README lists and whose own code runs in float64.
"""
TAIL = """
The factor in front of `q[t] . k[s]` is that of small random models of these families, with heads of width 8.
"""


def page():
    """The page of the docs."""
    lines = []
    for family, title in SHOWN.items():
        lines += ["", f"## {title}", "", "| node or slot | | in TransformerLens | equation |", "|---|---|---|---|"]
        for one in opened(family).node_kinds:
            lines.append(f"| `{one.name}` | {one.does} | `{one.code}` | `{one.equation}` |")
    return HEAD + "\n".join([*lines, ""]) + TAIL


def test_the_page_of_the_docs_says_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:] == ["all"]:
        for name in sorted(CONFIGS.keys() - FLOAT32_ONLY):
            test_code_gives_what_the_engine_has(name)
            sys.stdout.write(f"{name}: as the engine has it\n")
    else:
        sys.stdout.write(page())

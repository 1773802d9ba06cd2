"""RelP's and GIM's scores beside those of a second implementation, which shares no code with acdc."""

import numpy as np
import pytest
import torch
from families import random_model
from torch.nn import functional as F

import acdc
from acdc.engine.setting import prepare
from acdc.methods import Gim, RelP
from acdc.metrics import METRICS
from acdc.pairs import PromptSet, TokenPair

CLEAN = [[3, 14, 15, 9, 26, 5], [35, 8, 9, 7, 9, 32]]
CORRUPTED = [[3, 41, 15, 9, 2, 5], [35, 8, 1, 7, 9, 31]]
RIGHT, WRONG = 7, 11


def with_way(value, way):
    """The one's value and the other's gradient."""
    return value.detach() + way - way.detach()


class Rules:
    """By default, none."""

    norm = activation = pattern = False
    temperature = q = k = v = gate = up = 1.0

    def __init__(self, **rules):
        vars(self).update(rules)

    def act(self, z, f):
        return z * (f(z) / z).detach() if self.activation else f(z)

    def softmax(self, scores):
        p = scores.softmax(-1)
        if self.pattern:
            return p.detach()
        return with_way(p, self.temperature * (scores / self.temperature).softmax(-1))

    def scale(self, x, name):
        return with_way(x, getattr(self, name) * x)

    def head(self, q, k, v):
        scores = self.scale(q, "q") @ self.scale(k, "k").transpose(-1, -2) / q.shape[-1] ** 0.5
        future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        return self.softmax(scores.masked_fill(future, -torch.inf)) @ self.scale(v, "v")


class Gpt2:
    def __init__(self, model, rules):
        self.model, self.rules = model.transformer, rules
        self.out = model.lm_head.weight
        self.n_layers, self.n_heads = model.config.n_layer, model.config.n_head

    def embed(self, ids):
        return self.model.wte.weight[ids] + self.model.wpe.weight[: ids.shape[1]]

    def norm(self, x, own):
        x = x - x.mean(-1, keepdim=True)
        scale = (x.pow(2).mean(-1, keepdim=True) + own.eps).sqrt()
        return x / (scale.detach() if self.rules.norm else scale) * own.weight + own.bias

    def head(self, layer, i, *inputs):
        block = self.model.h[layer]
        d = inputs[0].shape[-1]
        width = d // self.n_heads
        vectors = []
        for n, x in enumerate(inputs):
            columns = slice(n * d + i * width, n * d + (i + 1) * width)
            vectors.append(
                self.norm(x, block.ln_1) @ block.attn.c_attn.weight[:, columns] + block.attn.c_attn.bias[columns]
            )
        return self.rules.head(*vectors) @ block.attn.c_proj.weight[i * width : (i + 1) * width]

    def bias(self, layer):
        return self.model.h[layer].attn.c_proj.bias

    def mlp(self, layer, x):
        block = self.model.h[layer]
        z = self.norm(x, block.ln_2) @ block.mlp.c_fc.weight + block.mlp.c_fc.bias
        return self.rules.act(z, block.mlp.act) @ block.mlp.c_proj.weight + block.mlp.c_proj.bias

    def logits(self, x):
        return self.norm(x, self.model.ln_f) @ self.out.T


class Llama:
    """Each query head reads key and value inputs of its own."""

    def __init__(self, model, rules):
        cfg = model.config
        self.model, self.rules, self.out = model.model, rules, model.lm_head.weight
        self.n_layers, self.n_heads = cfg.num_hidden_layers, cfg.num_attention_heads
        self.group, self.d_head = self.n_heads // cfg.num_key_value_heads, cfg.hidden_size // self.n_heads
        self.theta, self.eps = cfg.rope_parameters["rope_theta"], cfg.rms_norm_eps

    def embed(self, ids):
        return self.model.embed_tokens.weight[ids]

    def norm(self, x, own):
        scale = (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()
        return own.weight * x / (scale.detach() if self.rules.norm else scale)

    def rotate(self, x):
        half = self.d_head // 2
        # In float32, as in the model's own code.
        angles = torch.arange(x.shape[1])[:, None] * (1 / self.theta ** (torch.arange(half) / half))
        a, b, cos, sin = x[..., :half], x[..., half:], angles.cos().double(), angles.sin().double()
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def head(self, layer, i, q, k, v):
        block = self.model.layers[layer]
        own, vectors = block.self_attn, []
        for x, linear, n in ((q, own.q_proj, i), (k, own.k_proj, i // self.group), (v, own.v_proj, i // self.group)):
            rows = linear.weight[n * self.d_head : (n + 1) * self.d_head]
            vectors.append(self.norm(x, block.input_layernorm) @ rows.T)
        mixed = self.rules.head(self.rotate(vectors[0]), self.rotate(vectors[1]), vectors[2])
        return mixed @ own.o_proj.weight[:, i * self.d_head : (i + 1) * self.d_head].T

    def bias(self, layer):
        return torch.zeros(self.out.shape[1], dtype=self.out.dtype)

    def mlp(self, layer, x):
        block = self.model.layers[layer]
        x = self.norm(x, block.post_attention_layernorm)
        gate = self.rules.scale(self.rules.act(x @ block.mlp.gate_proj.weight.T, F.silu), "gate")
        return (gate * self.rules.scale(x @ block.mlp.up_proj.weight.T, "up")) @ block.mlp.down_proj.weight.T

    def logits(self, x):
        return self.norm(x, self.model.norm) @ self.out.T


def run(model, ids):
    """What every node writes, a leaf at every slot, and the logits at the last position."""
    written, leaves, constant = {"input": model.embed(ids)}, {}, 0.0

    def read(slot):
        total = sum(written.values()) + constant
        leaves[slot] = list(written), torch.zeros_like(total, requires_grad=True)
        return total + leaves[slot][1]

    for layer in range(model.n_layers):
        names = [f"a{layer}.h{i}" for i in range(model.n_heads)]
        reads = [[read(f"{name}<{letter}>") for letter in "qkv"] for name in names]
        written |= {name: model.head(layer, i, *reads[i]) for i, name in enumerate(names)}
        constant = constant + model.bias(layer)
        written[f"m{layer}"] = model.mlp(layer, read(f"m{layer}"))
    return written, leaves, model.logits(read("logits"))[:, -1]


def naive_scores(model, side):
    """Scores by the names of edges."""
    runs = {"clean": run(model, torch.tensor(CLEAN)), "corrupted": run(model, torch.tensor(CORRUPTED))}
    _, leaves, logits = runs[side]
    worse = -(logits[:, RIGHT] - logits[:, WRONG]).mean()
    gradients = torch.autograd.grad(worse, [leaf for _, leaf in leaves.values()], allow_unused=True)
    change = {name: (runs["corrupted"][0][name] - x).detach() for name, x in runs["clean"][0].items()}
    return {
        f"{source}->{slot}": 0.0 if gradient is None else float((change[source] * gradient).sum())
        for (slot, (sources, _)), gradient in zip(leaves.items(), gradients, strict=True)
        for source in sources
    }


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def case(request):
    model = random_model(request.param, torch.float64)
    pairs = [
        TokenPair(tuple(a), tuple(b), (5,), ((RIGHT,),), ((WRONG,),)) for a, b in zip(CLEAN, CORRUPTED, strict=True)
    ]
    setting = prepare(acdc.load_model(model), PromptSet(tuple(pairs), "random"))
    return {"gpt2": Gpt2, "llama": Llama}[request.param], model, setting


HALF = {"gate": 0.5, "up": 0.5}
GIM = {"norm": True, "temperature": 2.0, "q": 0.25, "k": 0.25, "v": 0.5, **HALF}
NEUTRAL = {"query_scale": 1, "key_scale": 1, "value_scale": 1, "gate_scale": 1, "up_scale": 1}


@pytest.mark.parametrize("side", ["clean", "corrupted"])
@pytest.mark.parametrize(
    ("method", "options", "rules"),
    [
        (RelP, {}, {"norm": True, "activation": True, **HALF}),
        (RelP, {"attention_rule": True}, {"norm": True, "activation": True, "pattern": True, **HALF}),
        (RelP, {"norm_rule": False, "gate_rule": False}, {"activation": True}),
        (RelP, {"norm_rule": False, "activation_rule": False}, HALF),
        (Gim, {}, GIM),
        (Gim, {"temperature": 5, "norm_rule": False, **NEUTRAL}, {"temperature": 5.0}),
        (Gim, {"key_scale": 0, "up_scale": 2}, GIM | {"k": 0.0, "up": 2.0}),
    ],
)
def test_scores_are_those_of_a_second_implementation(case, method, options, rules, side):
    naive, model, setting = case
    expected = naive_scores(naive(model, Rules(**rules)), side)
    found = method(side=side, **options).find(setting, METRICS["logit-diff"]).scores
    by_name = {edge.name: found[edge.number] for edge in setting.graph.edges()}
    assert by_name.keys() == expected.keys()
    size = max(map(abs, expected.values()))
    assert size > 1e-3
    np.testing.assert_allclose([by_name[name] for name in expected], list(expected.values()), rtol=0, atol=1e-10 * size)

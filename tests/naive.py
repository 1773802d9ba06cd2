"""A second implementation of ACDC, for tests only: a whole forward for every edge.

Written straight from the decision rule on the weights of a Hugging Face model, with
names, dicts and sets instead of numbered edges. It shares no code with acdc.
"""

import torch
from torch.nn import functional as F


class NaiveGpt2:
    """GPT-2, one head and one MLP at a time."""

    parallel = False

    def __init__(self, model):
        self.model, cfg = model, model.config
        self.n_layers, self.n_heads = cfg.n_layer, cfg.n_head
        self.d_head = cfg.n_embd // cfg.n_head

    def embed(self, ids):
        transformer = self.model.transformer
        return transformer.wte.weight[ids] + transformer.wpe.weight[: ids.shape[1]]

    def head(self, layer, head, q_in, k_in, v_in):
        block = self.model.transformer.h[layer]
        d_model = q_in.shape[-1]
        vectors = []
        for i, x in enumerate((q_in, k_in, v_in)):
            columns = slice(i * d_model + head * self.d_head, i * d_model + (head + 1) * self.d_head)
            vectors.append(block.ln_1(x) @ block.attn.c_attn.weight[:, columns] + block.attn.c_attn.bias[columns])
        mixed = causal_mix(*vectors)
        return mixed @ block.attn.c_proj.weight[head * self.d_head : (head + 1) * self.d_head]

    def bias(self, layer):
        return self.model.transformer.h[layer].attn.c_proj.bias

    def mlp(self, layer, x):
        block = self.model.transformer.h[layer]
        return block.mlp(block.ln_2(x))

    def logits(self, x):
        return self.model.transformer.ln_f(x) @ self.model.lm_head.weight.T


class NaiveLlama:
    """Llama with grouped queries; each query head reads key and value inputs of its own."""

    parallel = False

    def __init__(self, model):
        self.model, cfg = model, model.config
        self.n_layers, self.n_heads = cfg.num_hidden_layers, cfg.num_attention_heads
        self.group_size = cfg.num_attention_heads // cfg.num_key_value_heads
        self.d_head, self.eps = cfg.hidden_size // cfg.num_attention_heads, cfg.rms_norm_eps
        self.theta = cfg.rope_parameters["rope_theta"]

    def embed(self, ids):
        return self.model.model.embed_tokens.weight[ids]

    def norm(self, x, weight):
        return weight * x / (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()

    def rotate(self, x):
        half = self.d_head // 2
        speeds = self.theta ** (-torch.arange(half, dtype=x.dtype) / half)
        angles = torch.arange(x.shape[1], dtype=x.dtype)[:, None] * speeds
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], -1)

    def head(self, layer, head, q_in, k_in, v_in):
        block = self.model.model.layers[layer]
        attention, group = block.self_attn, head // self.group_size
        vectors = []
        for x, projection, i in (
            (q_in, attention.q_proj, head),
            (k_in, attention.k_proj, group),
            (v_in, attention.v_proj, group),
        ):
            rows = projection.weight[i * self.d_head : (i + 1) * self.d_head]
            vectors.append(self.norm(x, block.input_layernorm.weight) @ rows.T)
        q, k, v = vectors
        mixed = causal_mix(self.rotate(q), self.rotate(k), v)
        return mixed @ attention.o_proj.weight[:, head * self.d_head : (head + 1) * self.d_head].T

    def bias(self, layer):
        return torch.zeros(self.model.config.hidden_size, dtype=self.model.dtype)

    def mlp(self, layer, x):
        block = self.model.model.layers[layer]
        return block.mlp(self.norm(x, block.post_attention_layernorm.weight))

    def logits(self, x):
        return self.norm(x, self.model.model.norm.weight) @ self.model.lm_head.weight.T


class NaiveNeox:
    """GPT-NeoX with parallel blocks and rotations of a part of each head."""

    parallel = True

    def __init__(self, model):
        self.model, cfg = model, model.config
        self.n_layers, self.n_heads = cfg.num_hidden_layers, cfg.num_attention_heads
        self.d_head = cfg.hidden_size // cfg.num_attention_heads
        self.n_rotated = int(self.d_head * cfg.rope_parameters["partial_rotary_factor"])
        self.theta = cfg.rope_parameters["rope_theta"]

    def embed(self, ids):
        return self.model.gpt_neox.embed_in.weight[ids]

    def rotate(self, x):
        half = self.n_rotated // 2
        speeds = self.theta ** (-torch.arange(half, dtype=x.dtype) / half)
        angles = torch.arange(x.shape[1], dtype=x.dtype)[:, None] * speeds
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return torch.cat([a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin(), rest], -1)

    def head(self, layer, head, q_in, k_in, v_in):
        block = self.model.gpt_neox.layers[layer]
        fused, vectors = block.attention.query_key_value, []
        for i, x in enumerate((q_in, k_in, v_in)):  # a head's query, key and value stand beside each other
            start = (3 * head + i) * self.d_head
            rows = slice(start, start + self.d_head)
            vectors.append(block.input_layernorm(x) @ fused.weight[rows].T + fused.bias[rows])
        q, k, v = vectors
        mixed = causal_mix(self.rotate(q), self.rotate(k), v)
        return mixed @ block.attention.dense.weight[:, head * self.d_head : (head + 1) * self.d_head].T

    def bias(self, layer):
        return self.model.gpt_neox.layers[layer].attention.dense.bias

    def mlp(self, layer, x):
        block = self.model.gpt_neox.layers[layer]
        return block.mlp(block.post_attention_layernorm(x))

    def logits(self, x):
        return self.model.gpt_neox.final_layer_norm(x) @ self.model.get_output_embeddings().weight.T


def causal_mix(q, k, v):
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(-1) @ v


def run(model, ids, removed, other, constant=0):
    """One forward; `removed` edges (reader, writer) carry the writer's value in `other`.

    `constant` belongs to no writer and is always there, as output biases are.
    """
    written = {"input": model.embed(ids)}

    def read(reader):
        return constant + sum(other[w] if (reader, w) in removed else written[w] for w in written)

    for layer in range(model.n_layers):
        heads = {}
        for h in range(model.n_heads):
            name = f"a{layer}.h{h}"
            heads[name] = model.head(layer, h, read(f"{name}<q>"), read(f"{name}<k>"), read(f"{name}<v>"))
        beside = model.mlp(layer, read(f"m{layer}")) if model.parallel else None
        written.update(heads)
        constant = constant + model.bias(layer)
        written[f"m{layer}"] = model.mlp(layer, read(f"m{layer}")) if beside is None else beside
    return model.logits(read("logits"))[:, -1], written


def kl(logits, base, right, wrong):
    return F.kl_div(logits.log_softmax(-1), base.softmax(-1), reduction="batchmean").item()


def logit_diff(logits, base, right, wrong):
    rows = torch.arange(len(logits))
    return (base[rows, right] - base[rows, wrong] - logits[rows, right] + logits[rows, wrong]).mean().item()


def acdc(model, clean, corrupted, metric, threshold, right=None, wrong=None, ablation="corrupted"):
    """The edges that ACDC keeps, as ``writer->reader``."""
    base, now_written = run(model, clean, set(), {})
    if ablation == "corrupted":
        _, other = run(model, corrupted, set(), {})
    elif ablation == "zero":
        other = {writer: torch.zeros_like(x) for writer, x in now_written.items()}
    else:
        other = {writer: x.mean(0, keepdim=True).expand_as(x) for writer, x in now_written.items()}
    removed, kept = set(), set()
    now = metric(base, base, right, wrong)
    readers = ["logits"]
    for layer in reversed(range(model.n_layers)):
        readers.append(f"m{layer}")
        readers += [f"a{layer}.h{h}<{x}>" for x in "vkq" for h in reversed(range(model.n_heads))]
    order = list(other)  # as they write
    for reader in readers:
        node = reader.split("<")[0]
        if node == "logits":
            writers = order
        elif node.startswith("m"):
            writers = order[: order.index(node)]
        else:
            writers = order[: order.index(node.split(".")[0] + ".h0")]
        for writer in reversed(writers):
            if node != "logits" and not any(w == node for w, _ in kept):
                removed.add((reader, writer))
                continue
            logits, _ = run(model, clean, removed | {(reader, writer)}, other)
            after = metric(logits, base, right, wrong)
            if after - now < threshold:
                removed.add((reader, writer))
                now = after
            else:
                kept.add((writer, reader))
    return {f"{writer}->{reader}" for writer, reader in kept}

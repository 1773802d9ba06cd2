"""What Hugging Face's own modules compute, by hooks on them: the second opinion of the looks at a model."""

from contextlib import ExitStack

import torch
from families import random_model

from acdc.pairs import PromptSet, TokenPair

#: Where a family keeps its layers, below a layer the heads' output and the MLP, and its final norm.
PARTS = {
    "gpt2": ("transformer.h", "attn.c_proj", "mlp", "transformer.ln_f"),
    "llama": ("model.layers", "self_attn.o_proj", "mlp", "model.norm"),
    "llama-biases": ("model.layers", "self_attn.o_proj", "mlp", "model.norm"),
    "gpt-neox-parallel": ("gpt_neox.layers", "attention.dense", "mlp", "gpt_neox.final_layer_norm"),
    "gemma2": ("model.layers", "self_attn.o_proj", "mlp", "model.norm"),
    "granite": ("model.layers", "self_attn.o_proj", "mlp", "model.norm"),
}


def answered(n=3, lengths=(9, 6, 8), vocab=50, seed=3):
    """Random pairs of unequal length, of two answer positions each, with one or two right and wrong answers."""
    generator = torch.Generator().manual_seed(seed)

    def ids(length):
        return tuple(torch.randint(vocab, (length,), generator=generator).tolist())

    def answers():
        four = torch.randperm(vocab, generator=generator)[:4].tolist()
        return (four[0], four[1]), (four[2], four[3])

    pairs = []
    for length in lengths[:n]:
        (first, wrong), (second, other) = answers(), answers()
        right, wrongs = (first, second[:1]), (wrong, other)
        pairs.append(TokenPair(ids(length), ids(length), (length - 3, length - 1), right, wrongs))
    return PromptSet(tuple(pairs), "random")


class Watched:
    """A model of Hugging Face run on one prompt, and what its modules read and wrote.

    Attributes:
        heads: of each layer what ``W_O`` reads, ``[pos, head, d_head]``, and its weight ``[head, d_head, d_model]``.
        mlps: of each layer what the MLP writes, ``[pos, d_model]``.
        last: what the final norm reads, ``[pos, d_model]``. uncapped: what the unembedding writes.
        streams: the hidden states in front of each layer. attentions: of each layer, ``[head, pos, pos]``.
        logits: ``[pos, vocab]``.
    """

    def __init__(self, model, family, ids):
        layers, out, mlp, norm = PARTS[family]
        modules = {**dict(model.named_modules()), "unembedding": model.get_output_embeddings()}
        n_heads, n_layers = model.config.num_attention_heads, model.config.num_hidden_layers
        seen = {}

        def keep(name, written):
            def hook(module, args, output):
                seen[name] = (output if written else args[0])[0]

            return hook

        with ExitStack() as stack, torch.no_grad():
            for name, written in [
                *((f"{layers}.{i}.{out}", False) for i in range(n_layers)),
                *((f"{layers}.{i}.{mlp}", True) for i in range(n_layers)),
                (norm, False),
                ("unembedding", True),
            ]:
                stack.callback(modules[name].register_forward_hook(keep(name, written)).remove)
            found = model(torch.tensor([ids]), output_hidden_states=True, output_attentions=True, use_cache=False)
        self.heads = []
        for i in range(n_layers):
            module, z = modules[f"{layers}.{i}.{out}"], seen[f"{layers}.{i}.{out}"]
            weight = module.weight if family == "gpt2" else module.weight.T
            self.heads.append((z.unflatten(-1, (n_heads, -1)), weight.detach().unflatten(0, (n_heads, -1))))
        self.mlps = [seen[f"{layers}.{i}.{mlp}"] for i in range(n_layers)]
        self.last, self.uncapped, self.logits = seen[norm], seen["unembedding"], found.logits[0]
        self.streams, self.attentions = [x[0] for x in found.hidden_states[:-1]], [a[0] for a in found.attentions]


def model_of(family, seed=0):
    """A random model of Hugging Face, in float64."""
    return random_model(family, torch.float64, seed)

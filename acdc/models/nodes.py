"""What each node and slot of a model is in TransformerLens' terms: where its value is in a cache, and its equation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from acdc.asked import flag
from acdc.graph import Graph, Node, Slot
from acdc.models.tokens import Tokens

if TYPE_CHECKING:
    from acdc.models.attention import Attention
    from acdc.models.model import Model


@dataclass(frozen=True)
class NodeTerms:
    """A node, by what it writes, or a slot, by what it reads.

    Attributes:
        name: of the node (``a5.h1``) or slot (``a5.h1<k>``).
        is_slot: whether it is a slot.
        code: its value, ``[batch, pos, d_model]``, in Python: of ``cache`` and ``bridge``, where
            ``_, cache = bridge.run_with_cache(tokens)`` ran the model on prompts of one length and ``bridge`` is
            :attr:`acdc.Model.bridge`; for ``logits``, which writes none, ``[batch, pos, n_outputs]``.
            What a slot reads is that of the model's own run: all heads then read the same.
        hooks: names of TransformerLens' hooks in it.
        equation: how it comes from what its slots read, ``x``.
    """

    name: str
    is_slot: bool
    code: str
    hooks: tuple[str, ...]
    equation: str

    @property
    def does(self) -> str:
        """``reads`` of a slot, ``writes`` of a node."""
        return "reads" if self.is_slot else "writes"


#: Columns of a table of terms: :attr:`NodeTerms.name`, ``does``, ``code`` and ``equation``.
HEADINGS = ("node or slot", "", "in TransformerLens", "equation")


def node_terms(model: Model, *, split_input: bool = False) -> list[NodeTerms]:
    """Every node of a model's graph, each behind its slots, in topological order.

    Args:
        model: the model.
        split_input: ``embed`` and ``pos_embed`` in place of ``input``.

    Raises:
        SettingsError: the input can't be split.
    """
    if flag("split_input", split_input):
        model.check_split_input()
    graph = Graph(replace(model.graph_config, split_input=split_input))
    writer = _Writer(model)
    found: list[NodeTerms] = []
    for node in graph.nodes:
        found += [writer.slot(slot) for slot in graph.slots_of(node)]
        found.append(writer.node(node))
    return found


def kinds_of_nodes(model: Model) -> list[NodeTerms]:
    """The same a kind, not a node: ``a{l}.h{h}`` stands for every head, ``m{l}`` for every MLP."""
    writer = _Writer(model, layer="{l}", head="{h}", group="{g}")
    found = []
    for one in _first_layer(Graph(model.graph_config)):
        terms = writer.slot(one) if isinstance(one, Slot) else writer.node(one)
        found.append(replace(terms, name=terms.name.replace("a0.h0", "a{l}.h{h}").replace("m0", "m{l}")))
    return found


def in_lines(terms: list[NodeTerms]) -> list[str]:
    """A table of terms as lines of text, with a line of headings."""
    rows = [HEADINGS, *((one.name, one.does, one.code, one.equation) for one in terms)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _first_layer(graph: Graph) -> Iterator[Node | Slot]:
    """A node of every kind behind its slots."""
    for node in graph.nodes:
        if node.layer in (None, 0) and node.head in (None, 0):
            yield from graph.slots_of(node)
            yield node


class _Writer:
    """Writes the terms of nodes and slots of one model; with the names of indices given, of a kind of them."""

    def __init__(
        self, model: Model, layer: str | None = None, head: str | None = None, group: str | None = None
    ) -> None:
        self._model, self._cfg = model, model.graph_config
        self._known = set(model.bridge.hook_dict)
        self._layer, self._head, self._group = layer, head, group

    def slot(self, slot: Slot) -> NodeTerms:
        """What a slot reads."""
        layer, node = slot.node.layer, slot.node
        if layer is None:
            return self._terms(slot.name, [f"blocks.{self._cfg.n_layers - 1}.hook_resid_post"], "x", is_slot=True)
        if slot.letter is not None:
            equation = self._projected(slot.letter, layer, node.head or 0)
            return self._terms(slot.name, [self._block(layer, "hook_resid_pre")], equation, is_slot=True)
        before = self._cfg.parallel_attn_mlp
        hook = self._block(layer, "hook_resid_pre" if before else "hook_resid_mid")
        return self._terms(slot.name, [hook], "x", is_slot=True)

    def node(self, node: Node) -> NodeTerms:
        """What a node writes."""
        if node.kind == "head":
            return self._of_head(node)
        if node.kind == "mlp":
            return self._of_mlp(node)
        if node.kind == "logits":
            return self._terms(node.name, ["unembed.hook_out"], "ln_final(x) @ W_U (+ b_U)")
        embedded, positions = "blocks.0.hook_resid_pre", "hook_pos_embed"
        if node.kind == "pos_embed":
            return self._terms(node.name, [positions], "W_pos[position]")
        if node.kind == "embed":
            code = f"{_cached(embedded)} - {_cached(positions)}"
            return self._terms(node.name, [embedded, positions], self._of_token(), code)
        equation = f"{self._of_token()} + W_pos[position]" if self._model.has_position_embedding else self._of_token()
        return self._terms(node.name, [embedded], equation)

    def _of_token(self) -> str:
        """What the model makes of a token: its row of W_E, a multiple of that, or something else (Bloom norms it)."""
        tokens = Tokens.of([(0,)], self._model.device)
        row = self._model.bridge.embed.original_component.weight[0]
        embedded = self._model.embed(tokens, split=self._model.has_position_embedding)[0, 0, 0]
        factor = float(embedded @ row / (row @ row))
        if row.shape != embedded.shape or not bool(
            (embedded - factor * row).abs().max() <= 1e-3 * embedded.abs().max()
        ):
            return "embed(token)"
        return "W_E[token]" if abs(factor - 1) < 1e-3 else f"{factor:.4g} * W_E[token]"

    def _of_head(self, node: Node) -> NodeTerms:
        layer, head = node.layer or 0, node.head or 0
        attention = self._model.attention[layer]
        at, of = self._layer or layer, self._head or head
        z = self._block(layer, "attn.hook_z")
        code, hooks = f"{_cached(z)}[:, :, {of}] @ bridge.blocks[{at}].attn.W_O[{of}]", [z]
        if attention.kv_latent is not None:  # whose bridge takes the values for as wide as the queries
            shape = f"({attention.W_O.shape[0]}, {attention.W_O.shape[1]})"
            weights = f"bridge.blocks[{at}].attn.o.original_component.weight.T.unflatten(0, {shape})"
            code = f"{_cached(z)}.flatten(2).unflatten(2, {shape})[:, :, {of}] @ {weights}[{of}]"
        equation = "sum over s of A[t, s] * v[s] @ W_O"
        if attention.post_norm.kind != "none":
            before, after = (self._block(layer, f"ln1_post.{hook}") for hook in ("hook_in", "hook_out"))
            code += f" * ({_cached(after)} / {_cached(before)})"
            hooks += [after, before]
            equation += ", times weight / scale of ln1_post"
        code, equation = _multiplied(code, equation, attention.multiplier)
        return self._terms(node.name, hooks, f"{equation}; A = softmax over s of {_scores(attention)}", code)

    def _of_mlp(self, node: Node) -> NodeTerms:
        layer = node.layer or 0
        post = self._model.bridge.blocks[layer]._modules.get("ln2_post") is not None
        hook = self._block(layer, "ln2_post.hook_out" if post else "hook_mlp_out")
        norm = "ln1" if self._model.bridge.blocks[layer]._modules.get("ln2") is None else "ln2"
        equation = f"mlp({norm}(x))"
        equation = f"ln2_post({equation})" if post else equation
        _, equation = _multiplied("", equation, self._model.attention[layer].multiplier)  # which the hook has seen
        return self._terms(node.name, [hook], equation)

    def _projected(self, letter: str, layer: int, head: int) -> str:
        """The query, key or value that a head makes of what it reads."""
        attention, upper = self._model.attention[layer], letter.upper()
        weights = attention.W_Q if letter == "q" else attention.W_K
        group = attention.W_Q.shape[0] // weights.shape[0]
        of = (self._head or head) if group == 1 else (self._group or head // group)
        bias = {"q": attention.b_Q, "k": attention.b_K, "v": attention.b_V}[letter]
        latent = attention.q_latent if letter == "q" else attention.kv_latent
        x = "x" if attention.norm.kind == "none" else "ln1(x)"
        made = f"{x if latent is None else f'latent({x})'} @ W_{upper}[{of}]"
        made += "" if bias is None else f" + b_{upper}[{of}]"
        if letter == "v":
            return f"v = {made}"
        rotary = self._model.table(layer, Tokens.of([(0,)], self._model.device)).rotary
        normed = (attention.q_norm if letter == "q" else attention.k_norm).kind != "none"
        if rotary is not None and rotary.before_norm:
            made = f"rotated({made})"
        made = f"{letter}_norm({made})" if normed else made
        return f"{letter} = rotated({made})" if rotary is not None and not rotary.before_norm else f"{letter} = {made}"

    def _block(self, layer: int, hook: str) -> str:
        """A hook's name; of a model with another name for it, that."""
        found = f"blocks.{layer}.{hook}"
        if found not in self._known and hook in _OTHERWISE:
            found = f"blocks.{layer}.{_OTHERWISE[hook]}"
        return found if self._layer is None else found.replace(f"blocks.{layer}.", f"blocks.{self._layer}.")

    def _terms(
        self, name: str, hooks: list[str], equation: str, code: str | None = None, *, is_slot: bool = False
    ) -> NodeTerms:
        return NodeTerms(name, is_slot, code or _cached(hooks[0]), tuple(dict.fromkeys(hooks)), equation)


#: Names of hooks for models that lack the usual ones.
_OTHERWISE = {"attn.hook_z": "attn.o.hook_in", "hook_resid_mid": "ln2.hook_in"}


def _cached(hook: str) -> str:
    return f'cache["{hook}"]'


def _multiplied(code: str, equation: str, by: float) -> tuple[str, str]:
    """Both, times what a block's output is multiplied by."""
    return (code, equation) if by == 1.0 else (f"{by:g} * {code}", f"{by:g} * ({equation})")


def _scores(attention: Attention) -> str:
    """A head's scores in front of the softmax, as an equation."""
    scores = "q[t] . k[s]" if attention.scale == 1.0 else f"{attention.scale:.4g} * q[t] . k[s]"
    if attention.soft_cap is not None:
        scores = f"{attention.soft_cap:g} * tanh({scores} / {attention.soft_cap:g})"
    return scores

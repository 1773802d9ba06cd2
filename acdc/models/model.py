"""A model as node functions: what each node writes, given what its slots read.

The TransformerBridge loads the weights and is the oracle; the arithmetic between
slots and nodes is here, because patching needs every head to have inputs of its own,
which hooks on a whole model can't give on every architecture.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, TypedDict

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from acdc.displayed import Displayed
from acdc.errors import SettingsError
from acdc.graph import GraphConfig
from acdc.models.attention import Attention, PositionTable
from acdc.models.bridge import BridgeReader
from acdc.models.freezing import Frozen
from acdc.models.mlp import NormedMlp
from acdc.models.mlp_parts import RuledMlp
from acdc.models.nodes import NodeTerms, in_lines, kinds_of_nodes, node_terms
from acdc.models.norms import Norm
from acdc.models.positions import is_part, side_by_side
from acdc.models.readout import Readout
from acdc.models.rules import NO_RULES, BackwardRules
from acdc.models.tokens import Tokens
from acdc.wording import counted


class Limits(TypedDict):
    """What a model's text must keep to, as :meth:`acdc.Task.prompts` takes it."""

    vocab_size: int
    n_outputs: int
    max_length: int | None


class Model(Displayed):
    """A transformer whose components can be run one by one.

    Made by :func:`acdc.load_model`, which also checks it.

    Attributes:
        name: what it was opened by.
        bridge: the TransformerLens bridge; an oracle, and access to all else.
        tokenizer: a Hugging Face tokenizer, or ``None``.
        graph_config: shape of its graph (with ``input`` unsplit).
        n_ctx: longest prompt, or ``None`` where there is no limit.
        vocab_size: token ids lie below it. n_outputs: logits a position.
        dead: ``[n_outputs]`` bool, tokens whose logit is minus infinity whatever the prompt, if there are any.
        tied_heads: heads of a layer share a norm behind their sum, so that one head's
            contribution depends on the others' (Gemma 2 and 3, OLMo-2).
    """

    _form: ClassVar = "models:model_form"

    def __init__(self, name: str, reader: BridgeReader, tokenizer: Any | None) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.bridge = reader.bridge
        self._reader = reader
        self._rules = NO_RULES
        self._ruled_mlps: list[RuledMlp] | None = None
        self._frozen: Frozen | None = None
        self._thawed: Model | None = None
        self._output_bias_weight: Tensor | None = None
        self._tables: dict[int, list[PositionTable]] = {}
        self.attention: list[Attention] = [reader.attention(layer) for layer in range(reader.n_layers)]
        self.final_norm: Norm = reader.final_norm()
        self.n_ctx = reader.n_ctx
        self.vocab_size = reader.vocab_size
        self.n_outputs = reader.n_outputs
        self.dead = reader.dead_tokens()
        self.tied_heads = any(attention.post_norm.kind != "none" for attention in self.attention)
        self.graph_config = GraphConfig(
            n_layers=reader.n_layers,
            n_heads=reader.n_heads,
            d_model=reader.d_model,
            parallel_attn_mlp=reader.parallel,
            attn_only=reader.attn_only,
        )

    def __repr__(self) -> str:
        cfg = self.graph_config
        shape = f"{counted(cfg.n_layers, 'layer')} of {counted(cfg.n_heads, 'head')}"
        return f"Model({self.name!r}, {shape}, d_model {cfg.d_model}, {self.dtype})"

    def __str__(self) -> str:
        return "\n".join([repr(self), *in_lines(self.node_kinds)])

    def nodes(self, *, split_input: bool = False) -> list[NodeTerms]:
        """Every node of its graph behind its slots, in TransformerLens' terms: hooks, code and equation.

            >>> import acdc
            >>> terms = {one.name: one for one in acdc.load_model("tiny-tasks").nodes()}
            >>> terms["a1.h3"].code
            'cache["blocks.1.attn.hook_z"][:, :, 3] @ bridge.blocks[1].attn.W_O[3]'

        Args:
            split_input: ``embed`` and ``pos_embed`` in place of ``input``.

        Raises:
            SettingsError: the input can't be split.
        """
        return node_terms(self, split_input=split_input)

    @property
    def node_kinds(self) -> list[NodeTerms]:
        """The same for every kind of nodes and slots: ``a{l}.h{h}`` stands for any head ``h`` of a layer ``l``."""
        return kinds_of_nodes(self)

    def with_rules(self, rules: BackwardRules, instead: str = "leave out those of MLPs") -> Model:
        """The same model, bit by bit, with a way back by rules in place of the gradient's.

        Args:
            rules: what the way back does otherwise.
            instead: what to do about an MLP that they can't be followed in, for the message.

        Raises:
            SettingsError: there is a rule for what is inside of an MLP, and one is a mixture of experts or of another
                make that doesn't come apart; the message names its layer.
        """
        other = copy.copy(self)
        other._rules = rules
        other.attention = [attention.with_rules(rules) for attention in self.attention]
        other.final_norm = self.final_norm.with_rules(rules)
        if not self.graph_config.attn_only:
            other._ruled_mlps = [
                other._frozen_mlp(layer, self._reader.ruled_mlp(layer, rules, instead))
                for layer in range(self.graph_config.n_layers)
            ]
        return other

    def with_frozen(self, frozen: Frozen) -> Model:
        """The model with what stays as it was on some prompts, all of which are then run at a time, and no others."""
        plain = self.thawed
        other = copy.copy(plain)
        other._frozen, other._thawed = frozen, plain
        other.attention = [each.with_frozen(layer) for each, layer in zip(other.attention, frozen.layers, strict=True)]
        other.final_norm = other.final_norm.with_frozen(frozen.final)
        if frozen.norms and not self.graph_config.attn_only:
            every = range(self.graph_config.n_layers)
            other._ruled_mlps = [other._frozen_mlp(layer, plain.normed_mlp(layer)) for layer in every]
        return other

    @property
    def frozen(self) -> tuple[str, ...]:
        """What of it is frozen, by name."""
        return () if self._frozen is None else self._frozen.what

    @property
    def thawed(self) -> Model:
        """The model with nothing frozen: itself, where nothing is."""
        return self if self._thawed is None else self._thawed

    def _frozen_mlp(self, layer: int, mlp: RuledMlp) -> RuledMlp:
        return mlp if self._frozen is None else mlp.with_frozen(self._frozen.layers[layer])

    def with_bias_weights(self, weights: Sequence[Tensor]) -> Model:
        """A model with rules, whose biases are multiplied by numbers: their gradients are what biases have a part in.

        Args:
            weights: numbers (``[]``), one for each layer, and one for what is behind the last.
        """
        other = copy.copy(self)
        other.attention = [each.with_bias_weight(weights[layer]) for layer, each in enumerate(self.attention)]
        other.final_norm = self.final_norm.with_bias_weight(weights[-1])
        other._output_bias_weight = weights[-1]
        if self._ruled_mlps is not None:
            other._ruled_mlps = [mlp.with_bias_weight(weights[layer]) for layer, mlp in enumerate(self._ruled_mlps)]
        return other

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.attention[0].W_Q.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.attention[0].W_Q.dtype

    @property
    def limits(self) -> Limits:
        """What prompts for it must keep to: token ids, answers and length."""
        return {"vocab_size": self.vocab_size, "n_outputs": self.n_outputs, "max_length": self.n_ctx}

    @property
    def sha256(self) -> str:
        """A hash of configuration and parameters as they are now; they may be edited through the bridge."""
        return self._reader.sha256()

    @property
    def has_hooks(self) -> bool:
        """Whether a caller has put hooks on the bridge."""
        return any(point.fwd_hooks for point in self.bridge.hook_dict.values())

    @property
    def has_position_embedding(self) -> bool:
        """Whether it adds position embeddings to the token embeddings."""
        return self._reader.has_position_embedding

    def check_split_input(self) -> None:
        """Raise :class:`SettingsError` if the input can't be split into token and position embeddings."""
        if not self.has_position_embedding:
            raise SettingsError(
                f"{self.name} has no position embeddings that it adds to the token embeddings, "
                "so its input can't be split; leave out `split_input`."
            )

    def embed(self, tokens: Tokens, *, split: bool = False) -> Float[Tensor, "n_inputs batch pos d_model"]:
        """What the input nodes write, ``[1 or 2, batch, pos, d_model]``.

        Args:
            tokens: the prompts.
            split: token embeddings and position embeddings apart.
        """
        total = self._reader.embed(tokens)  # [batch, pos, d_model]
        if not split:
            return total[None]
        self.check_split_input()
        positions = self._reader.position_embedding(total.shape[1]).expand_as(total) * tokens.filled[..., None]
        return torch.stack((total - positions, positions))

    def own_logits(self, tokens: Tokens) -> Float[Tensor, "batch pos n_outputs"]:
        """The model's own logits through the bridge, ``[batch, pos, n_outputs]``; 0 behind a prompt's end."""
        return self._reader.logits(tokens)

    def own_logits_at(
        self, tokens: Tokens, rows: Int[Tensor, " position"], columns: Int[Tensor, " position"]
    ) -> Float[Tensor, "position n_outputs"]:
        """The same at some positions alone, ``[position, n_outputs]``, without unembedding the others.

        Unlike in :meth:`logits`, tokens that can't be predicted have minus infinity (:meth:`without_infinity`).

        Args:
            tokens: prompts of one length.
            rows: prompt of each position.
            columns: where it is in the prompt.
        """
        if self.has_hooks:  # which may count on all positions
            return self._reader.logits(tokens)[rows, columns]
        return self._reader.logits_at(tokens.ids, rows, columns)

    def heads(
        self,
        layer: int,
        q: Float[Tensor, "head batch pos d_model"],
        k: Float[Tensor, "head batch pos d_model"],
        v: Float[Tensor, "head batch pos d_model"],
        tokens: Tokens,
    ) -> tuple[Float[Tensor, "head batch pos d_model"], Float[Tensor, "*broadcastable d_model"] | None]:
        """What a layer's heads write, and what belongs to no node (the output bias).

        Args:
            layer: which layer.
            q: what each head's query slot reads, ``[head, batch, pos, d_model]``.
            k: what each head's key slot reads, likewise.
            v: what each head's value slot reads, likewise.
            tokens: the prompts, for their lengths.

        Returns:
            ``[head, batch, pos, d_model]``; and ``[batch, pos, d_model]``, broadcastable to
            it, or ``None``.
        """
        attention, table, filled = self.attention[layer], self.table(layer, tokens), tokens.filled
        outputs = [attention.head(i, q[i], k[i], v[i], table, filled) for i in range(attention.n_heads)]
        return attention.contributions(torch.stack(outputs))

    def where_it_differs(self, tokens: Tokens) -> str:
        """Where the first part stands that isn't what the model makes of the same input; for messages.

        Args:
            tokens: prompts of one length.
        """
        for layer, seen in enumerate(self._reader.layer_by_layer(tokens.ids)):
            x, attention = seen["block in"], self.attention[layer]
            same = x.expand(attention.n_heads, *x.shape)
            if not _near(attention.norm(x), seen["attention in"]):
                return f"layer {layer}'s attention doesn't read what its norm makes (a post-norm residual stream?)"
            table = self.table(layer, tokens)
            outputs = [attention.head(i, x, x, x, table, tokens.filled) for i in range(attention.n_heads)]
            heads = (
                torch.stack(outputs).sum(0) if attention.b_O is None else torch.stack(outputs).sum(0) + attention.b_O
            )
            if not (_near(heads, seen["attention out"]) or _near(x + heads, seen["attention out"])):  # Bloom adds it
                return f"layer {layer}'s attention is none that acdc knows"
            written, rest = self.heads(layer, same, same, same, tokens)
            y = x + written.sum(0) if rest is None else x + written.sum(0) + rest
            if not self.graph_config.attn_only:
                y = y + self.mlp(layer, x if self.graph_config.parallel_attn_mlp else y)
            if not _near(y, seen["block out"]):
                return f"layer {layer}'s MLP, or how it is added to the residual stream, is none that acdc knows"
        return "the way from the last layer to the logits is none that acdc knows"

    def mlp(self, layer: int, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """What a layer's MLP writes, given its residual input, ``[batch, pos, d_model]``."""
        return self._reader.mlp(layer, x) if self._ruled_mlps is None else self._ruled_mlps[layer](x)

    def normed_mlp(self, layer: int) -> RuledMlp:
        """The same as what is between its norms, and these."""
        return self._reader.ruled_mlp(layer, NO_RULES, "") if self._ruled_mlps is None else self._ruled_mlps[layer]

    def plain_mlp(self, layer: int) -> NormedMlp | None:
        """The same as weights and activation, where the MLP is no more than that, and its norms aren't frozen."""
        if self._frozen is not None and self._frozen.norms:
            return None
        return self._reader.plain_mlp(layer)

    @cached_property
    def mlp_products(self) -> tuple[int, int]:
        """Width between an MLP's products, and how many they are: 3 with a gate, else 2.

        Of the first layer's MLP; where it isn't plain, what is usual is taken for it.
        """
        if self.graph_config.attn_only:
            return 0, 0
        found = self.plain_mlp(0)
        if found is None:
            return 4 * self.graph_config.d_model, 2
        return found.plain.W_in.shape[1], 2 if found.plain.W_gate is None else 3

    def unembedding(self) -> Float[Tensor, "d_model n_outputs"] | None:
        """``[d_model, n_outputs]``, where logits are no more than that and a bias behind the final norm."""
        readout = self.readout()
        return readout.weight if readout is not None and readout.is_plain else None

    def readout(self) -> Readout | None:
        """How the normed last residual becomes logits, where that is linear up to a soft cap."""
        return self._reader.readout()

    def logits(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch n_outputs"]:
        """Logits from the last residual, ``[..., d_model]`` to ``[..., n_outputs]``.

        Tokens that the model can't predict have the lowest number there is in place of minus infinity: their
        probability is 0 all the same, and a difference of two such logits is a number.
        """
        return self.without_infinity(self._reader.unembed(self.final_norm(x), self._rules, self._output_bias_weight))

    def without_infinity(self, logits: Float[Tensor, "*batch n_outputs"]) -> Float[Tensor, "*batch n_outputs"]:
        """Logits as :meth:`logits` gives them, from its own."""
        return logits if self.dead is None else logits.masked_fill(self.dead, _lowest(logits.dtype))

    @cached_property
    def looks_back(self) -> bool:
        """Whether a position sees itself and those before it only."""
        length = min(2, self.n_ctx or 2)
        known = max(self._tables, default=length)  # a table of any length says it
        visible = self._tables_of(max(known, length))[0].visible
        return length == 1 or not bool(visible[..., 0, 1].any())

    def table(self, layer: int, tokens: Tokens) -> PositionTable:
        """Masks and rotations of a layer for some prompts.

        Each prompt has the table that the model makes for its own length, as if it ran alone
        (LongRoPE's frequencies depend on it); where these are all part of the longest one's, that
        is the table of all.
        """
        width = tokens.ids.shape[1]
        tables = {length: self._tables_of(length)[layer] for length in sorted({*tokens.lengths, width}, reverse=True)}
        longest = tables[width]
        if all(table is longest or is_part(table, longest) for table in tables.values()):
            return longest
        return side_by_side([tables[length] for length in tokens.lengths], longest)

    def _tables_of(self, length: int) -> list[PositionTable]:
        """Those of all layers for prompts of one length; what is part of a longer prompt's table is that."""
        if length not in self._tables:
            found = self._reader.position_tables(length)
            longer = [tables for known, tables in self._tables.items() if known > length]
            self._tables[length] = [
                next((known[layer] for known in longer if is_part(table, known[layer])), table)
                for layer, table in enumerate(found)
            ]
        return self._tables[length]


def _lowest(dtype: torch.dtype) -> float:
    """A logit of no probability with room for differences below it."""
    return torch.finfo(dtype).min / 2


def is_dead(logits: Float[Tensor, "*batch n_outputs"], dtype: torch.dtype) -> Bool[Tensor, "*batch n_outputs"]:
    """Which logits of :meth:`Model.logits`, of a model in that precision, stand for minus infinity."""
    return logits <= _lowest(dtype)


def _near(a: Tensor, b: Tensor) -> bool:
    """Whether two parts are the same but for rounding, roughly."""
    return bool((a - b).abs().max() <= 1e-3 * b.abs().max())

"""Edges removed from the whole model one at a time: how much worse each makes it.

With all other edges kept, all slots of a layer but the edge's own read one running sum, so that a removal is run as
a plain model is: norms, projections and MLPs once for all heads, from the slot's own layer on, many removals in one
batch. What stands in front of the slot computes what it does in the whole model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from acdc.engine.fast.baseline import Baseline
from acdc.engine.fast.cost import BATCH_BYTES, machine_kind
from acdc.engine.fast.gains import MixtureChange
from acdc.engine.fast.heads import HeadVectors, LayerHeads
from acdc.engine.fast.mlps import LayerMlp
from acdc.engine.fast.norms import centred
from acdc.engine.fast.scores import Scorer
from acdc.graph import Letter, Slot
from acdc.models.products import pairwise_products, product

#: Places, of all removals of a batch, that are computed together: enough for fast products, few for the cache.
_PLACES = {"cpu": 2048, "cuda": 65536}


class Alone:
    """Runs removals from the whole model, each by itself."""

    def __init__(
        self,
        baseline: Baseline,
        vectors: Mapping[int, HeadVectors],
        layers: Sequence[LayerHeads],
        mlps: Sequence[LayerMlp],
        scorer: Scorer,
    ) -> None:
        """Put the parts together; only read.

        Args:
            baseline: what slots read in the whole model, and what each edge takes.
            vectors: by layer, of the whole model.
            layers: weights of attention, by layer.
            mlps: likewise; none without MLPs.
            scorer: the metric.
        """
        self._baseline, self._vectors = baseline, vectors
        self._layers, self._mlps, self._scorer = layers, mlps, scorer
        self._graph = baseline.setting.graph
        self._last = len(layers) - 1
        self._kind = machine_kind(baseline.difference.device)
        self._clean: tuple[int, Tensor, Sequence[Tensor]] | None = None  # of a layer, see _clean_of

    def values(self, slot: Slot, metric: float) -> Float64[np.ndarray, " n_parents"]:
        """The metric without each edge into a slot.

        Args:
            slot: any slot.
            metric: of the whole model, which an edge that carries the same when it is removed leaves as it is.
        """
        whole = slot.letter in ("k", "v") or ((slot.node.layer or 0) < self._last and slot.name != "logits")
        differences = self._baseline.differences(whole=whole)[: slot.n_parents]
        sources = [source for source, change in enumerate(differences) if bool(change.any())]
        found, x = np.full(slot.n_parents, metric), self._baseline.clean(slot, whole=whole)
        together = self._together(len(x))
        for start in range(0, len(sources), together):
            part = sources[start : start + together]
            inputs = x.new_empty(len(part), *x.shape)
            for run, source in zip(inputs, part, strict=True):
                torch.sub(x, differences[source], out=run)
            found[part] = self._scorer.score(self._residual(slot, inputs)).cpu().numpy()
        return found

    def _together(self, places: int) -> int:
        """Removals of a batch: by their places, and so that a layer's keys and patterns fit in memory."""
        ids, attention = self._baseline.setting.tokens.ids, self._layers[0].attention
        length = ids.shape[1]
        widths = 2 * attention.W_O.shape[1] + attention.W_K.shape[-1]  # keys, values and what is mixed
        numbers = attention.n_heads * ids.numel() * (widths + 3 * length)
        room = BATCH_BYTES[self._kind] // (numbers * self._baseline.difference.element_size())
        return int(max(1, min(_PLACES[self._kind] // places, room)))

    def _residual(self, slot: Slot, inputs: Float[Tensor, "run place d_model"]) -> Float[Tensor, "run answer d_model"]:
        """The last residual where answers are read, for inputs of a slot at live places or at the answers."""
        if slot.name == "logits":
            return inputs
        layer = slot.node.layer or 0
        whole = layer < self._last
        x = self._behind_mlp(slot, inputs, whole) if slot.letter is None else self._behind_head(slot, inputs, whole)
        for later in range(layer + 1, len(self._layers)):
            x = self._block(later, x)
        return x

    def _behind_mlp(self, slot: Slot, inputs: Tensor, whole: bool) -> Tensor:
        """The stream behind a layer whose MLP reads other inputs, ``[run, place, d_model]``."""
        layer = slot.node.layer or 0
        mlp, clean = self._mlps[layer], self._baseline.clean(slot, whole=whole)
        change = mlp.run(inputs) - mlp.run(clean[None])
        return change.add_(self._baseline.clean(self._next(layer), whole=whole))

    def _behind_head(self, slot: Slot, inputs: Tensor, whole: bool) -> Tensor:
        """The stream behind a layer one of whose heads reads other inputs in one slot, ``[run, place, d_model]``."""
        layer, head = slot.node.layer or 0, slot.node.head or 0
        heads, now = self._layers[layer], self._vectors[layer]
        total, first = self._clean_of(layer, whole)
        change = self._mixture(slot, inputs, whole) - self._at(now["z"][head], whole)  # [run, place, d_head]
        written = self._written(layer, total + product(change, heads.W_O[head])).sub_(self._written(layer, total))
        if not self._mlps or self._graph.cfg.parallel_attn_mlp:
            return written.add_(self._baseline.clean(self._next(layer), whole=whole))
        mlp = self._mlps[layer]
        x = written.add_(self._baseline.clean(self._graph.slot(f"m{layer}"), whole=whole))
        if first and mlp.plain is not None and heads.attention.post_norm.kind == "none":
            weight = heads.attention.multiplier * heads.W_O[head]
            gain = centred(mlp.plain.before, x.clone())
            out = mlp.run_changed(gain, first, [MixtureChange(slot.node.index, weight, change)])
        else:
            out = mlp.run(x)
        return x.add_(out)

    def _mixture(self, slot: Slot, inputs: Tensor, whole: bool) -> Tensor:
        """What a head mixes with other inputs in one slot, ``[run, place, d_head]``."""
        layer, head = slot.node.layer or 0, slot.node.head or 0
        heads, now, live = self._layers[layer], self._vectors[layer], self._baseline.live
        places = live if whole else self._baseline.answers
        vectors: dict[Letter, Tensor] = {letter: now[letter][head, None, None] for letter in ("k", "v")}
        vectors["q"] = self._at(now["q"][head], whole)[None, None]
        assert slot.letter is not None  # a head's slot
        new = heads.project(slot.letter, [head], inputs[None], places if slot.letter == "q" else live)
        vectors[slot.letter] = new if slot.letter == "q" else self._everywhere(vectors[slot.letter], new)
        return heads.mix([head], vectors["q"], vectors["k"], vectors["v"], places)[0]

    def _block(self, layer: int, x: Float[Tensor, "run live d_model"]) -> Float[Tensor, "run place d_model"]:
        """One layer of the whole model; the last one at the answers alone."""
        heads, now, baseline = self._layers[layer], self._vectors[layer], self._baseline
        whole, n = layer < self._last, self._layers[layer].attention.n_heads
        asking = x if whole else baseline.at_answers(x)
        places = baseline.live if whole else baseline.answers
        q = heads.project("q", list(range(n)), asking[None], places)
        k, v = (self._shared(layer, letter, x, now[letter]) for letter in ("k", "v"))
        z = heads.mix(list(range(n)), q, k, v, places)  # [head, run, place, d_head]
        total = product(z.permute(1, 2, 0, 3).flatten(2), heads.W_O.flatten(0, 1))
        written = self._written(layer, total)
        if not self._mlps:
            return written.add_(asking)
        if self._graph.cfg.parallel_attn_mlp:
            return written.add_(asking).add_(self._mlps[layer].run(asking))
        x = written.add_(asking)
        return x.add_(self._mlps[layer].run(x))

    def _shared(self, layer: int, letter: Letter, x: Tensor, clean: Tensor) -> Tensor:
        """All heads' keys or values of one stream, ``[head, run, batch, pos, d_head]``; of a group, computed once."""
        heads = self._layers[layer]
        groups = [heads.attention.group(head) for head in range(heads.attention.n_heads)]
        first = [groups.index(group) for group in sorted(set(groups))]  # a head of each
        new = heads.project(letter, first, x[None], self._baseline.live)
        found = self._everywhere(clean[first][:, None], new)
        return found if len(first) == len(groups) else found[groups]

    def _everywhere(
        self, clean: Tensor, new: Float[Tensor, "head run live d"]
    ) -> Float[Tensor, "head run batch pos d"]:
        """Keys or values at every position, ``[head, 1, batch, pos, d]``, with those at live places new in each run."""
        shape = (*new.shape[:2], *clean.shape[2:])
        if new.numel() == shape[0] * shape[1] * clean[0, 0].numel():  # all places are live
            return new.view(shape)
        found = clean.expand(shape).clone()
        self._baseline.live.put(new, found)
        return found

    def _written(self, layer: int, total: Float[Tensor, "*run place d_model"]) -> Float[Tensor, "*run place d_model"]:
        """What a layer's attention adds to the stream, of its heads' sum; a tensor of its own."""
        outputs, rest = self._layers[layer].attention.contributions(total[None])
        return outputs[0].clone() if rest is None else outputs[0] + rest

    def _clean_of(self, layer: int, whole: bool) -> tuple[Tensor, Sequence[Tensor]]:
        """What a layer's heads write together in the whole model, and its MLP's first products; the last are kept."""
        if self._clean is None or self._clean[0] != layer:
            self._clean = None
            heads = self._layers[layer]
            total = pairwise_products(self._at(self._vectors[layer]["z"], whole), heads.W_O).sum(0)
            first: Sequence[Tensor] = ()
            if self._mlps and not self._graph.cfg.parallel_attn_mlp and total.device.type == "cpu":
                mlp = self._mlps[layer]
                if mlp.is_worth(1, heads.W_O.shape[1]):
                    first = mlp.first_products(self._baseline.clean(self._graph.slot(f"m{layer}"), whole=whole))
            self._clean = layer, total, first
        return self._clean[1:]

    def _next(self, layer: int) -> Slot:
        """A slot that reads the stream behind a layer."""
        return self._graph.slot("logits" if layer == self._last else f"a{layer + 1}.h0<q>")

    def _at(self, x: Float[Tensor, "*any live d"], whole: bool) -> Float[Tensor, "*any place d"]:
        return x if whole else self._baseline.at_answers(x)

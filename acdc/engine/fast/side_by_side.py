"""Many circuits side by side: equal to a whole patched run of each, at a small part of its cost.

A slot's input is what it reads when every edge is ablated, plus the kept sources' differences from
what they carry then. So nodes are computed in topological order, each in its distinct states only
(:mod:`acdc.engine.fast.states`), for all circuits together, at the positions that answers can see; those
that no key or value reads, where answers are read alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from acdc.engine.fast.cost import machine_kind
from acdc.engine.fast.heads import LayerHeads
from acdc.engine.fast.indices import index
from acdc.engine.fast.mlps import BLOCK_ROWS, LayerMlp
from acdc.engine.fast.places import Places, live_positions
from acdc.engine.fast.reading import Values, different, projected
from acdc.engine.fast.scratch import Scratch
from acdc.engine.fast.states import Component, Plan, Relevant, Work
from acdc.engine.fast.tactics import Tactics
from acdc.engine.setting import Setting
from acdc.graph import Letter
from acdc.models.products import pairwise_products

#: Places that are computed together: enough for fast products, few enough to stay in the cache between them.
_PLACES = {"cpu": 256, "cuda": 1024}
#: What heads read that are computed together, in bytes: likewise.
_READ_BYTES = {"cpu": 20 * 2**20, "cuda": 512 * 2**20}
#: What sources write in the circuits that are run together, in bytes: few enough to be soon read again.
_VALUE_BYTES = {"cpu": 96 * 2**20, "cuda": 2 * 2**30}
#: Copies of weights that are held, in bytes; larger ones are made anew for every batch of circuits.
_HELD_BYTES = 512 * 2**20


class SideBySide:
    """Runs circuits on the prompts of a setting.

    Args:
        setting: model, prompts and what removed edges carry.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._kind = machine_kind(setting.model.device)
        self._scratch = Scratch()
        n_mlps = 0 if setting.graph.cfg.attn_only else setting.graph.cfg.n_layers
        self._mlps = [LayerMlp(setting.model, layer, self._scratch) for layer in range(n_mlps)]
        self._heads: dict[int, LayerHeads] = {}  # by layer, if they are small

    @torch.no_grad()
    def residuals(self, masks: Sequence[Bool[np.ndarray, " n_edges"]]) -> Float[Tensor, "circuit prediction d_model"]:
        """The last residual where answers are read.

        Args:
            masks: the circuits.
        """
        setting = self._setting
        plans = list(self._plans(masks))
        like = setting.contributions.inputs
        found = like.new_empty(len(masks), len(setting.rows), like.shape[-1])
        for chunk in setting.contributions.chunks:
            ablated = setting.contributions.ablated(chunk)
            for rows in self._tiles(chunk):
                own = slice(rows.start - chunk.start, rows.stop - chunk.start)
                tile = _Tile(setting, rows, ablated[:, own], self._heads, self._mlps, self._scratch)
                at = 0
                for plan in plans:
                    found[at : at + len(plan.kept), setting.scored(rows)] = tile.run(plan)
                    at += len(plan.kept)
        return found

    def _plans(self, masks: Sequence[np.ndarray]) -> Iterator[Plan]:
        """What there is to do, for as many circuits together as memory has room for."""
        setting, graph = self._setting, self._setting.graph
        tied = setting.model.tied_heads
        relevant = Relevant(graph, np.stack(masks), tied_heads=tied, only_from_input=setting.ablation == "corrupted")
        tiles = [rows for chunk in setting.contributions.chunks for rows in self._tiles(chunk)]
        widest = max((rows.stop - rows.start) for rows in tiles) * setting.tokens.ids.shape[1]
        value = widest * graph.cfg.d_model * setting.contributions.inputs.element_size()
        room = max(1, _VALUE_BYTES[self._kind] // value)  # values of sources
        start = 0
        while start < len(masks):
            n = np.cumsum(relevant.computed[start:].sum(1))
            stop = start + max(1, int(np.searchsorted(n, room, side="right")))
            yield Plan(graph, relevant[start:stop], tied_heads=tied)
            start = stop

    def _tiles(self, chunk: slice) -> Iterator[slice]:
        """Prompts of a chunk that are computed together."""
        step = max(1, _PLACES[self._kind] // self._setting.tokens.ids.shape[1])
        for start in range(chunk.start, chunk.stop, step):
            yield slice(start, min(start + step, chunk.stop))


class _Tile:
    """Some prompts, and what slots read on them when every edge is ablated.

    Args:
        setting: model and prompts.
        rows: which of the prompts.
        ablated: what removed edges carry on them, ``[n_sources, prompt, pos, d_model]``.
        heads: layers' of the prompts before, or none; those made here are put there if they are small.
        mlps: all layers'.
        scratch: room.
    """

    def __init__(
        self,
        setting: Setting,
        rows: slice,
        ablated: Tensor,
        heads: dict[int, LayerHeads],
        mlps: Sequence[LayerMlp],
        scratch: Scratch,
    ) -> None:
        self._setting, self._heads, self._mlps, self._scratch = setting, heads, mlps, scratch
        self._kind = machine_kind(setting.model.device)
        model, device = setting.model, setting.model.device
        self._tokens = setting.tokens[rows]
        prompts = setting.prompts.part(rows)
        live = live_positions(model, prompts, setting.ablation, Tactics())
        self._live = Places.of(live, device)
        self._answers = Places.of([pair.answer_positions for pair in prompts.pairs], device)
        every = range(setting.tokens.ids.shape[1])
        self._still = Places.of([sorted({*every} - {*own}) for own in live], device)  # the same in every circuit
        number = {place: i for i, place in enumerate(_places(self._live))}
        self._answers_in_live = index([number[place] for place in _places(self._answers)], device)
        self._ablated = ablated
        inputs = setting.contributions.inputs[:, rows]
        self._inputs = self._live.pick(inputs - ablated[: len(inputs)])
        self._bases = _bases(setting, ablated)
        self._held: dict[int, tuple[LayerHeads, Tensor, Tensor]] = {}

    def run(self, plan: Plan) -> Tensor:
        """Last residuals where answers are read, ``[circuit, answer, d_model]``."""
        self._values = {
            everywhere: Values(
                plan,
                everywhere,
                self._scratch.take(
                    "values at live places" if everywhere else "values at answers",
                    (plan.n_rows(everywhere=everywhere), len(self._places(everywhere)), self._inputs.shape[-1]),
                    self._inputs,
                ),
            )
            for everywhere in (True, False)
        }
        for source in range(len(self._inputs)):
            circuits = plan.circuits_with(source)
            self._put(
                circuits, np.full_like(circuits, source), self._inputs[source, None], np.zeros_like(circuits), True
            )
        for part, distinct in plan.steps:
            everywhere = part.first < plan.n_everywhere
            weights = part.of(plan.kept)  # [circuit, letter, node, parent]
            if part.is_attention:
                self._run_heads(part, Work(distinct), weights, everywhere)
            else:
                self._run_mlp(part, Work(distinct), weights[:, 0], everywhere)
        last = plan.kept[:, self._setting.graph.slots[-1].edges]
        base = self._answers.pick(self._bases["logits"])
        found = base.new_empty(len(last), *base.shape)
        for circuit, row in enumerate(found):
            self._values[False].sum(base, last[circuit, None], circuit, out=row.view(1, -1))
        return found

    def _run_heads(self, part: Component, work: Work, weights: np.ndarray, everywhere: bool) -> None:
        """Heads of a layer in all their states, those of a few circuits at a time."""
        places, ablated = self._places(everywhere), self._ablated_at(part, everywhere)
        organ = self._layer(part.layer)[0]
        one = len(part.slots) * len(self._live) * ablated[0, :1].nbytes  # what all heads may read in a circuit
        for block in work.blocks(max(1, _READ_BYTES[self._kind] // one)):
            items = slice(block[0].start, block[-1].stop)
            if everywhere:
                x, which = self._read(part, slice(0, 3), work, block, weights, everywhere=True)
                read = [(x, numbers) for numbers in which]
            else:
                x, which = self._read(part, slice(0, 1), work, block, weights, everywhere=False)
                keys, others = self._read(part, slice(1, 3), work, block, weights, everywhere=True)
                read = [(x, which[0]), *((keys, numbers) for numbers in others)]
            mixtures = self._mixed(part.layer, work.nodes[items], read, places)
            found = self._scratch.take("written", (len(mixtures), *ablated.shape[1:]), ablated)
            for own in block:  # all at once would copy weights and what is taken off
                mine, heads = slice(own.start - items.start, own.stop - items.start), work.nodes[own]
                pairwise_products(mixtures[mine], _some(organ.W_O, heads), out=found[mine])
                written, _ = organ.attention.contributions(found[mine])
                torch.sub(written, _some(ablated, heads), out=found[mine])
            self._note(work, items, part, found, everywhere)

    def _read(
        self,
        part: Component,
        letters: slice,
        work: Work,
        block: Sequence[slice],
        weights: np.ndarray,
        *,
        everywhere: bool,
    ) -> tuple[Tensor, np.ndarray]:
        """What slots of some letters read.

        Args:
            part: the layer's heads.
            letters: which.
            work: what has to be computed of them.
            block: items, those of each circuit.
            weights: of each edge, ``[circuit, letter, head, parent]``.
            everywhere: at every live place, not at the answers alone.

        Returns:
            What at least one of them reads, each once, ``[input, place, d_model]``; and which of these each reads,
            ``[letter, item]``.
        """
        values, base = self._values[everywhere], self._places(everywhere).pick(self._base(part))
        first, n_letters, n = block[0].start, letters.stop - letters.start, 0
        which = np.empty((block[-1].stop - first, n_letters), dtype=np.int64)
        x = self._scratch.take(f"read {letters.start}", (which.size, *base.shape), base)
        for own in block:
            circuit = int(work.circuits[own.start])
            rows = weights[circuit, letters][:, work.nodes[own]].swapaxes(0, 1).reshape(-1, part.n_parents)
            first_of, numbers = different(rows)
            which[own.start - first : own.stop - first] = n + numbers.reshape(-1, n_letters)
            values.sum(base, rows[first_of], circuit, out=x[n : n + len(first_of)].view(len(first_of), -1))
            n += len(first_of)
        return x[:n], which.T

    def _mixed(
        self, layer: int, heads: np.ndarray, read: Sequence[tuple[Tensor, np.ndarray]], places: Places
    ) -> Tensor:
        """What attention makes of what heads read, ``[item, place, d_head]``."""
        (organ, base_k, base_v), numbers = self._layer(layer), heads.tolist()
        own, at = index(heads, self._inputs.device), (places, self._live, self._live)
        q, k, v = (
            projected(organ, letter, heads, x, which, where)
            for letter, (x, which), where in zip(get_args(Letter), read, at, strict=True)
        )
        return organ.mix(numbers, q, self._everywhere(base_k[own], k), self._everywhere(base_v[own], v), places)[:, 0]

    def _everywhere(self, usual: Tensor, found: Tensor) -> Tensor:
        """Keys or values at every position, ``[item, 1, prompt, pos, d_head]``, from those at live places."""
        whole = usual[:, None]
        self._live.put(found, whole)
        return whole

    def _run_mlp(self, part: Component, work: Work, weights: np.ndarray, everywhere: bool) -> None:
        """An MLP in all its states."""
        places, ablated = self._places(everywhere), self._ablated_at(part, everywhere)
        base = places.pick(self._base(part))
        for block in work.blocks(max(1, BLOCK_ROWS // len(places))):
            items = slice(block[0].start, block[-1].stop)
            x = self._scratch.take("read", (len(block), *base.shape), base)
            for row, circuit in zip(x, work.circuits[items].tolist(), strict=True):
                self._values[everywhere].sum(base, weights[circuit], circuit, out=row.view(1, -1))
            found = self._mlps[part.layer].run(x, spoils_input=True).sub_(ablated[0])
            self._note(work, items, part, found, everywhere)

    def _note(self, work: Work, items: slice, part: Component, found: Tensor, everywhere: bool) -> None:
        """Note the values of some items in all circuits where they stand, ``[item, place, d_model]``."""
        circuits, which = work.uses(items)
        self._put(circuits, part.first + work.nodes[which], found, which - items.start, everywhere)

    def _put(
        self, circuits: np.ndarray, sources: np.ndarray, found: Tensor, which: np.ndarray, everywhere: bool
    ) -> None:
        if everywhere:
            self._values[True].put(circuits, sources, found, which)
            found = found[:, self._answers_in_live]
        self._values[False].put(circuits, sources, found, which)

    def _places(self, everywhere: bool) -> Places:
        return self._live if everywhere else self._answers

    def _ablated_at(self, part: Component, everywhere: bool) -> Tensor:
        """What removed edges from a component carry, ``[node, place, d_model]``, until the next is asked for."""
        places, ablated = self._places(everywhere), self._ablated[part.nodes]
        found = self._scratch.take("ablated", (len(ablated), len(places), ablated.shape[-1]), ablated)
        rows = places.prompt * ablated.shape[2] + places.position
        for node, out in zip(ablated, found, strict=True):
            torch.index_select(node.flatten(0, 1), 0, rows, out=out)
        return found

    def _base(self, part: Component) -> Tensor:
        """What a component's slots read when every edge is ablated, ``[prompt, pos, d_model]``."""
        return self._bases[part.name]

    def _layer(self, layer: int) -> tuple[LayerHeads, Tensor, Tensor]:
        """The layer's heads, with keys and values at every position, right where they are the same in every circuit."""
        if layer in self._held:
            return self._held[layer]
        model = self._setting.model
        attention, small = model.attention[layer], 7 * model.attention[layer].W_O.nbytes * len(model.attention)
        table, filled = model.table(layer, self._tokens), self._tokens.filled
        known = self._heads.get(layer)
        organ = LayerHeads(attention, table, filled) if known is None else known.on(table, filled)
        x, every = self._still.pick(self._bases[f"a{layer}"]), list(range(attention.n_heads))
        keys, values = (
            x.new_zeros(attention.n_heads, *filled.shape, weight.shape[-1]) for weight in (attention.W_K, attention.W_V)
        )
        if len(self._still):
            self._still.put(organ.project("k", every, x[None, None], self._still)[:, 0], keys)
            self._still.put(organ.project("v", every, x[None, None], self._still)[:, 0], values)
        if small <= _HELD_BYTES:
            self._heads[layer] = organ
            self._held[layer] = organ, keys, values
        return organ, keys, values


def _bases(setting: Setting, ablated: Tensor) -> dict[str, Tensor]:
    """What is read when every edge is ablated, ``[prompt, pos, d_model]``, by component and for ``logits``.

    Args:
        setting: the model.
        ablated: what removed edges carry, ``[n_sources, prompt, pos, d_model]``.
    """
    cfg, found = setting.graph.cfg, {}
    at = setting.graph.n_inputs
    x = ablated[:at].sum(0)
    for layer, attention in enumerate(setting.model.attention):
        before = found[f"a{layer}"] = x
        x = x + ablated[at : at + cfg.n_heads].sum(0)
        at += cfg.n_heads
        _, rest = attention.contributions(x.new_zeros(cfg.n_heads, 1, x.shape[-1]))  # belongs to no node
        x = x if rest is None else x + rest
        if not cfg.attn_only:
            found[f"m{layer}"] = before if cfg.parallel_attn_mlp else x
            x = x + ablated[at]
            at += 1
    return found | {"logits": x}


def _some(x: Tensor, nodes: np.ndarray) -> Tensor:
    """Those of some nodes, ascending, and no copy if it is all."""
    return x if len(nodes) == len(x) else x[index(nodes, x.device)]


def _places(places: Places) -> list[tuple[int, int]]:
    return list(zip(places.prompt.tolist(), places.position.tolist(), strict=True))

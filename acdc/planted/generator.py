"""Random programs, planted: models of any size whose circuit is known, to measure precision and recall with.

Some heads of a model of attention alone are *true*: each has a signal, one number at each position, that it writes
into a direction of its own. Each of its slots reads the signals of a few parents, which are other true heads and
the input, by weights of plus or minus 1 / sqrt(parents). With q, k and v what its slots read, and p' the position
that it looks at (the present one, or one or two before), a head writes at the position p

    gain * v(p') * sigmoid(2 q(p) k(p'))

since its attention is parted between p' and the first position, where all signals are 0. So all three slots matter,
and the output isn't a sum over paths. Some true heads are read by the logits, each in a random direction of
its own; among them all that no other true head reads. The gains make every signal's standard deviation 1.

All other heads are decoys of the same make, that read everything. The true edges are those from parents, and those
into the logits from the heads that they are to read. Every other edge is as loud as a stated share of a true edge into
the same slot, the noise: 0 for none at all. In the end the residual stream is turned by a random rotation, so
that no direction is an axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acdc.errors import SettingsError
from acdc.graph import Graph, GraphConfig
from acdc.planted.blueprint import SURE
from acdc.planted.model import Planted, Settings
from acdc.planted.names import Parameters
from acdc.wording import counted

#: The first symbol of every prompt, whose signals are all 0, and the others.
ANCHOR = "."
SYMBOLS = tuple(f"{first}{second}" for first in "bdfghjklmnprstvz" for second in "aeiou")
#: Symbols of a prompt, the anchor among them. The last one is where the answer is read.
LENGTH = 8
_FEATURES = 8  # of a symbol
_LETTERS = "qkv"
_STEEPNESS = 2.0
_LOGITS_SPREAD = 2.0  # standard deviation of a logit
_SAMPLE = 400  # prompts that gains are measured on
#: True heads: at most this share of all, as long as these can have as many edges; and so many edges for each.
_SHARE_OF_HEADS, _EDGES_A_HEAD = 0.6, 5
#: Bounds of what is made: beyond them a model takes minutes and gigabytes.
_MOST_WIDTH, _MOST_WEIGHTS, _MOST_EDGES = 4096, 50_000_000, 100_000
_DRAWS = 5  # of heads, for each number of them


@dataclass(frozen=True)
class _Program:
    """Which heads are true, and what they read.

    Attributes:
        heads: numbers of the true heads, ascending; head h of layer l is l * heads + h.
        parents: of each slot (head's number and letter), numbers of the heads that it reads; -1 is the input.
        outputs: heads that the logits read.
    """

    heads: list[int]
    parents: dict[tuple[int, str], list[int]]
    outputs: list[int]

    @property
    def n_edges(self) -> int:
        """The true edges."""
        return len(self.outputs) + sum(map(len, self.parents.values()))


def generate(parameters: Parameters) -> Planted:
    """The model of those parameters, always the same.

    Raises:
        SettingsError: it is too narrow or too large, or can't have so many true edges; says what it can.
    """
    graph = _graph(parameters)
    chance = np.random.default_rng([parameters.seed, parameters.layers, parameters.heads, parameters.edges])
    program = _program(parameters, chance)
    weights = _Planting(parameters, program, chance).weights()
    edges = frozenset(_edge_names(parameters, program))
    return Planted(
        parameters.name,
        f"A random program of {counted(len(program.heads), 'head')} among {parameters.layers * parameters.heads}: "
        f"{len(edges):,} true edges of {graph.n_edges:,}.",
        (ANCHOR, *SYMBOLS),
        _config(parameters),
        weights,
        edges,
        Settings(parameters.name, "other-symbols", threshold=1e-4),
    )


def _config(parameters: Parameters) -> dict[str, object]:
    n_symbols = 1 + len(SYMBOLS)
    return {
        "n_layers": parameters.layers,
        "n_heads": parameters.heads,
        "d_model": parameters.width,
        "d_head": 1 + LENGTH,
        "n_ctx": LENGTH,
        "d_vocab": n_symbols,
        "d_vocab_out": n_symbols,
        "attn_only": True,
        "act_fn": None,
        "normalization_type": None,
        "attention_dir": "causal",
    }


def _graph(parameters: Parameters) -> Graph:
    """The model's graph. Raises :class:`SettingsError`, before anything is made, where its sizes allow none."""
    shape = GraphConfig(parameters.layers, parameters.heads, parameters.width, attn_only=True)
    least = _FEATURES + LENGTH + parameters.layers * parameters.heads
    if parameters.width < least:
        raise SettingsError(
            f"{parameters.name}: a width of {parameters.width} is too small for {parameters.shape}, each with "
            f"a direction of its own; it must be at least {least}."
        )
    if parameters.width > _MOST_WIDTH:
        raise SettingsError(
            f"{parameters.name}: a width of {parameters.width:,} is too large for a random rotation; give at most "
            f"{_MOST_WIDTH:,}."
        )
    weights = 4 * parameters.layers * parameters.heads * parameters.width * (1 + LENGTH)
    if weights > _MOST_WEIGHTS:
        raise SettingsError(
            f"{parameters.name}: {parameters.shape} at a width of {parameters.width:,} have {weights:,} weights; give "
            f"fewer heads or less width, for at most {_MOST_WEIGHTS:,}."
        )
    return Graph(shape)


def _edge_names(parameters: Parameters, program: _Program) -> list[str]:
    def node(number: int) -> str:
        layer, head = divmod(number, parameters.heads)
        return "input" if number < 0 else f"a{layer}.h{head}"

    into_slots = [
        f"{node(parent)}->{node(head)}<{letter}>"
        for (head, letter), parents in program.parents.items()
        for parent in parents
    ]
    return into_slots + [f"{node(head)}->logits" for head in program.outputs]


def _program(parameters: Parameters, chance: np.random.Generator) -> _Program:
    """Draw a program of exactly as many edges as asked for. Raises :class:`SettingsError` where there is none."""
    n_all, wanted = parameters.layers * parameters.heads, parameters.edges
    _check_edges(parameters)
    n = min(max(1, round(wanted / _EDGES_A_HEAD)), max(1, round(_SHARE_OF_HEADS * n_all)))
    numbers = range(1, min(n_all, (wanted - 1) // 3) + 1)  # each head has three edges in, and one goes out
    while True:  # there is one, but draws may put all of its heads into one layer
        for n_heads in sorted(numbers, key=lambda n_heads: abs(n_heads - n)):
            for _ in range(_DRAWS):
                heads = sorted(int(head) for head in chance.permutation(n_all)[:n_heads])
                if _capacity(parameters, heads) < wanted:
                    continue
                program = _least_program(parameters, heads, chance)
                if program.n_edges <= wanted:
                    return _enlarged(parameters, program, chance)


def _check_edges(parameters: Parameters) -> None:
    """Raise :class:`SettingsError` where no program has as many edges as asked for.

    One head has three edges in and one out: 4. Two have 7 at least, where one reads the other, and every number from
    there to all can be had. In a single layer no head can read another, so that each has its 4.
    """
    wanted = parameters.edges
    if (most := _capacity(parameters, range(parameters.layers * parameters.heads))) < wanted:
        raise SettingsError(
            f"{parameters.name}: {parameters.shape} can have at most {most:,} true edges, not {wanted:,}."
        )
    if wanted > _MOST_EDGES:
        raise SettingsError(f"{parameters.name}: give at most {_MOST_EDGES:,} true edges, not {wanted:,}.")
    if parameters.layers == 1:
        possible = [max(4, wanted // 4 * 4), max(4, -(-wanted // 4) * 4)]
    else:
        possible = [wanted] if wanted >= 7 else [4, 7]
    if wanted not in possible:
        nearest = min(possible, key=lambda number: abs(number - wanted))
        raise SettingsError(
            f"{parameters.name}: there is no program of exactly {counted(wanted, 'true edge')} for {parameters.shape}, "
            f"since each head has three edges in and one out at least; the nearest number that is possible is "
            f"{nearest:,}."
        )


def _before(parameters: Parameters, heads: Sequence[int], head: int) -> list[int]:
    """What a head can read of the program: the input, and true heads of the layers below."""
    first = head - head % parameters.heads
    return [-1, *(other for other in heads if other < first)]


def _capacity(parameters: Parameters, heads: Sequence[int]) -> int:
    """The most edges that a program of these heads can have: from the input and all of the layers below, and out."""
    in_layer = np.bincount([head // parameters.heads for head in heads], minlength=parameters.layers)
    below = np.cumsum(in_layer) - in_layer
    return int((in_layer * (3 * (1 + below) + 1)).sum())


def _least_program(parameters: Parameters, heads: list[int], chance: np.random.Generator) -> _Program:
    """A parent for every slot, at best one that nothing reads yet, and outputs of what is left unread."""
    parents: dict[tuple[int, str], list[int]] = {}
    unread = set()
    for head in heads:
        before = _before(parameters, heads, head)
        for letter in _LETTERS:
            fresh = [other for other in before if other in unread]
            parent = int(chance.choice(fresh or before))
            unread.discard(parent)
            parents[head, letter] = [parent]
        unread.add(head)
    return _Program(heads, parents, sorted(unread))


def _enlarged(parameters: Parameters, program: _Program, chance: np.random.Generator) -> _Program:
    """The program with further edges, drawn slot by slot so that no slot has far more than the others."""
    parents = {slot: list(read) for slot, read in program.parents.items()}
    outputs = list(program.outputs)
    free = {
        slot: [other for other in _before(parameters, program.heads, slot[0]) if other not in read]
        for slot, read in parents.items()
    }
    further = [head for head in program.heads if head not in outputs]
    slots = [slot for slot, others in free.items() if others]
    for _ in range(parameters.edges - program.n_edges):
        pick = int(chance.integers(len(slots) + (len(further) + 2) // 3))
        if pick < len(slots):
            others = free[slots[pick]]
            parents[slots[pick]].append(others.pop(int(chance.integers(len(others)))))
            if not others:
                del slots[pick]
        else:
            outputs.append(further.pop(int(chance.integers(len(further)))))
    return _Program(program.heads, parents, sorted(outputs))


class _Planting:
    """Weights of a program: signals are measured layer by layer, so that each head's gain is known.

    Attributes:
        reads: ``[letter, head, features + heads]``, by what weight each slot reads each signal.
        looks: ``[head]``, how far back a head looks.
        gains: ``[head]``.
    """

    def __init__(self, parameters: Parameters, program: _Program, chance: np.random.Generator) -> None:
        self.parameters, self.program, self.chance = parameters, program, chance
        n = parameters.layers * parameters.heads
        self.embedding = np.concatenate((np.zeros((1, _FEATURES)), chance.standard_normal((len(SYMBOLS), _FEATURES))))
        self.looks = self._looks()
        self.reads = np.stack([[self._reading(head, letter) for head in range(n)] for letter in _LETTERS])
        self.gains = np.ones(n)
        self._measure()
        self.outputs = self._outputs()

    def _reading(self, head: int, letter: str) -> np.ndarray:
        """``[features + heads]``, by what weights a slot reads; 0 for what isn't there yet."""
        n_there = head - head % self.parameters.heads
        there = self.chance.standard_normal(_FEATURES + n_there)
        there[:_FEATURES] /= np.linalg.norm(there[:_FEATURES])
        read = np.zeros(_FEATURES + self.parameters.layers * self.parameters.heads)
        parents = self.program.parents.get((head, letter))
        if parents is None:  # a decoy, which reads everything
            read[: len(there)] = there / np.sqrt(1 + n_there)
            return read
        loud = 1 / np.sqrt(len(parents))
        there[_FEATURES:] = np.sign(there[_FEATURES:])
        read[: len(there)] = self.parameters.noise * loud * there
        for parent in parents:
            at = slice(_FEATURES) if parent < 0 else _FEATURES + parent
            read[at] = loud * there[at]
        return read

    def _looks(self) -> np.ndarray:
        """How far back each head looks, so that what reaches a prompt's end never comes from before its beginning."""
        reach: dict[int, int] = {-1: 0}  # how far back a true head's signal comes from
        looks = self.chance.choice(3, size=self.parameters.layers * self.parameters.heads, p=(0.6, 0.3, 0.1))
        for head in self.program.heads:
            q, k, v = (max(reach[parent] for parent in self.program.parents[head, letter]) for letter in _LETTERS)
            looks[head] = min(looks[head], LENGTH - 2 - max(k, v))
            reach[head] = max(q, looks[head] + max(k, v))
        return looks

    def _measure(self) -> None:
        """Set the gains so that every signal's standard deviation at the end of a prompt is 1."""
        n_heads = self.parameters.heads
        symbols = self.chance.integers(1, 1 + len(SYMBOLS), size=(_SAMPLE, LENGTH))
        symbols[:, 0] = 0
        signals = np.zeros((_SAMPLE, LENGTH, self.reads.shape[-1]))
        signals[:, :, :_FEATURES] = self.embedding[symbols]
        for first in range(0, len(self.gains), n_heads):
            heads = slice(first, first + n_heads)
            q, k, v = (signals @ self.reads[letter, heads].T for letter in range(3))
            for head in range(n_heads):
                back = self.looks[first + head]
                seen = slice(0, LENGTH - back)
                gate = 1 / (1 + np.exp(-_STEEPNESS * q[:, back:, head] * k[:, seen, head]))
                written = signals[:, back:, _FEATURES + first + head]
                written[:] = v[:, seen, head] * gate
                # Rounded, so that another machine's sums give the same weights.
                self.gains[first + head] = float(f"{1 / written[:, -1].std():.3g}")
                written *= self.gains[first + head]

    def _outputs(self) -> np.ndarray:
        """``[features + heads, n symbols]``, what each signal adds to the logits."""
        loudness = np.full(_FEATURES + len(self.gains), self.parameters.noise)
        loudness[:_FEATURES] /= np.sqrt(_FEATURES)
        loudness[[_FEATURES + head for head in self.program.outputs]] = 1.0
        loudness *= _LOGITS_SPREAD / np.sqrt(len(self.program.outputs))
        return loudness[:, None] * self.chance.standard_normal((len(loudness), 1 + len(SYMBOLS)))

    def weights(self) -> dict[str, np.ndarray]:
        """All weights by TransformerLens' names, float32, in a residual stream that is turned at random."""
        width, n_signals = self.parameters.width, self.reads.shape[-1]
        turn, _ = np.linalg.qr(self.chance.standard_normal((width, width)))
        signals, positions = turn[:n_signals], turn[n_signals : n_signals + LENGTH]
        made = {
            "embed.W_E": self.embedding @ signals[:_FEATURES],
            "pos_embed.W_pos": positions,
            "unembed.W_U": signals.T @ self.outputs,
        }
        for layer in range(self.parameters.layers):
            heads = range(layer * self.parameters.heads, (layer + 1) * self.parameters.heads)
            written = [self._head(head, signals, positions) for head in heads]
            for place, letter in enumerate("QKVO"):
                made[f"blocks.{layer}.attn.W_{letter}"] = np.stack([head[place] for head in written])
        return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in made.items()}

    def _head(self, head: int, signals: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, ...]:
        """``W_Q``, ``W_K``, ``W_V`` and ``W_O``: the first dimension holds signals, the others positions."""
        shape = (self.parameters.width, 1 + LENGTH)
        q, k, v, out = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape[::-1])
        q[:, 0], k[:, 0], v[:, 0] = (signals.T @ self.reads[letter, head] for letter in range(3))
        q[:, 0] *= _STEEPNESS
        sees = np.zeros((LENGTH, LENGTH))  # from each position, the one that it looks at, and the first
        sees[:, 0] = SURE
        for position in range(LENGTH):
            sees[position, max(0, position - self.looks[head])] = SURE
        q[:, 1:] = positions.T @ sees
        k[:, 1:] = positions.T
        out[0] = self.gains[head] * signals[_FEATURES + head]
        return q * np.sqrt(1 + LENGTH), k, v, out  # scores are divided by that root

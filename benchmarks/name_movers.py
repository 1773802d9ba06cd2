"""Which heads of a model play the parts of the indirect-object circuit, as tables in Markdown.

    python benchmarks/name_movers.py smollm2-135m

For every head, on prompts of `ioi`: where it looks, what it adds to the answer directly, and whether it copies names
(Wang et al. 2022, arXiv 2211.00593, sections 3.1 to 3.3, as far as looking and adding up can tell). A head gets a part
by the bounds below; they are ours. Whether the answer depends on a head through others, only a circuit tells. A head
that adds to the answer by speaking against the subject is no published part, and is called a subject suppressor here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import Tensor

import acdc
from acdc.circuit import Circuit
from acdc.cli.main import main
from acdc.cli.printing import say
from acdc.engine.setting import Setting
from acdc.errors import PromptError
from acdc.interchange import open_circuit
from acdc.models.tokens import Tokens
from acdc.references import reference
from acdc.waiting import bars, waiting

_TOP = 5  # a head copies a name that is among so many likeliest tokens
_LOOKS, _MOVES, _COPIES, _PREVIOUS = 0.25, 0.03, 0.5, 0.5


@dataclass(frozen=True)
class Head:
    """What one head does, each a mean over prompts.

    Attributes:
        name: ``a9.h9``.
        to_io, to_s1, to_s2: how much it looks from the last token at the indirect object and at the two subjects.
        s2_to_s1, s2_to_next: from the second subject at the first, and at the token behind that.
        previous: from every token at the one before.
        direct: what the logit difference loses if the last residual stream lacks what it writes, as a share of it.
        copies, copies_not: share of names that are among the likeliest (unlikeliest) tokens if it looks at them alone.
    """

    name: str
    to_io: float
    to_s1: float
    to_s2: float
    s2_to_s1: float
    s2_to_next: float
    previous: float
    direct: float
    copies: float
    copies_not: float

    @property
    def part(self) -> str | None:
        """Its part, or ``None``; the first that fits."""
        return next((name for name, fits in PARTS.items() if fits(self)), None)


#: By name, as the published circuit has it, when a head plays a part. The first that fits counts.
PARTS: dict[str, Callable[[Head], bool]] = {
    "name mover": lambda it: (
        it.direct >= _MOVES and it.to_io >= max(_LOOKS, it.to_s1, it.to_s2) and it.copies >= _COPIES
    ),
    "negative name mover": lambda it: it.direct <= -_MOVES and it.to_io >= _LOOKS and it.copies_not >= _COPIES,
    "subject suppressor": lambda it: (
        it.direct >= _MOVES and max(it.to_s1, it.to_s2) >= _LOOKS and it.copies_not >= _COPIES
    ),
    "S-inhibition": lambda it: it.to_s2 >= max(_LOOKS, it.to_io, it.to_s1),
    "duplicate token": lambda it: it.s2_to_s1 >= max(_LOOKS, it.s2_to_next),
    "induction": lambda it: it.s2_to_next >= _LOOKS,
    "previous token": lambda it: it.previous >= _PREVIOUS,
}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("model")
@click.option("--n", type=int, default=20, show_default=True, help="Prompts.")
@click.option("--circuit", type=click.Path(path_type=Path), help="A run's folder or file: says which heads are in it.")
def command(model: str, n: int, circuit: Path | None) -> None:
    """Look at every head of MODEL on prompts of ioi."""
    with bars(True):
        setting = acdc.set_up(model, "ioi", n=n, metric="logit-diff")
        heads = list(look(setting))
    found = None if circuit is None else open_circuit(circuit, graph=setting.graph)
    for line in report(setting, heads, found):
        say(line)


def places(setting: Setting) -> tuple[list[int], list[int], list[int], list[int]]:
    """The tokens of the indirect object, of both subjects and at the end, for each prompt."""
    found = []
    for pair in setting.prompts.pairs:
        (answer,), (wrong,) = pair.answers[-1], pair.wrong_answers[-1]
        io = [i for i, token in enumerate(pair.clean) if token == answer]
        subject = [i for i, token in enumerate(pair.clean) if token == wrong]
        if not io or len(subject) < 2:
            raise PromptError(f"{pair.where}: its names aren't spelled alike wherever they stand; take another model.")
        found.append((io[0], subject[0], subject[-1], pair.answer_positions[-1]))
    io, s1, s2, end = (list(column) for column in zip(*found, strict=True))
    return io, s1, s2, end


@torch.no_grad()
def look(setting: Setting) -> Iterator[Head]:
    """Every head of a model, layer by layer."""
    model, graph, tokens = setting.model, setting.graph, setting.tokens
    io, s1, s2, end = places(setting)
    rows = torch.arange(len(io))
    right, wrong = (torch.tensor([ids[-1][0] for ids in each]) for each in _answers(setting))
    last = setting.contributions.clean_residual[rows, end]  # [prompt, d_model]

    def difference(x: Tensor) -> Tensor:
        logits = model.logits(x)
        return (logits[rows, right] - logits[rows, wrong]).mean()

    whole = difference(last)
    filled = tokens.filled[:, 1:].float()
    x = setting.contributions.inputs.sum(0)  # [prompt, pos, d_model]
    names = None  # what stands at the indirect object behind the first layer
    for layer in waiting(range(graph.cfg.n_layers), "looking at heads"):
        attention, table = model.attention[layer], model.table(layer, tokens)
        same = x.expand(graph.cfg.n_heads, *x.shape)
        written, rest = model.heads(layer, same, same, same, tokens)  # [head, prompt, pos, d_model]
        alone = Tokens(torch.zeros(len(io), 1, dtype=torch.long), (1,) * len(io))
        for head in range(graph.cfg.n_heads):
            pattern = attention.pattern(head, x, x, table, tokens.filled)
            before = pattern.diagonal(-1, 1, 2)[:, : filled.shape[1]]
            copied = copied_not = 0.0
            if names is not None:
                out = attention.head(head, names, names, names, model.table(layer, alone), alone.filled)[:, 0]
                copied, copied_not = (_ranked(model.logits(sign * out), right) for sign in (1, -1))
            to_io, to_s1, to_s2 = (float(pattern[rows, end, place].mean()) for place in (io, s1, s2))
            yield Head(
                f"a{layer}.h{head}",
                to_io,
                to_s1,
                to_s2,
                float(pattern[rows, s2, s1].mean()),
                float(pattern[rows, s2, [place + 1 for place in s1]].mean()),
                float((before * filled).sum() / filled.sum()),
                float((whole - difference(last - written[head, rows, end])) / whole),
                copied,
                copied_not,
            )
        before_attention = x
        x = x + written.sum(0) + (0 if rest is None else rest)
        if not graph.cfg.attn_only:
            x = x + model.mlp(layer, before_attention if graph.cfg.parallel_attn_mlp else x)
        if names is None:
            names = x[rows, io][:, None]


def _answers(setting: Setting) -> tuple[list[tuple[tuple[int, ...], ...]], list[tuple[tuple[int, ...], ...]]]:
    pairs = setting.prompts.pairs
    return [pair.answers for pair in pairs], [pair.wrong_answers for pair in pairs]


def _ranked(logits: Tensor, answers: Tensor) -> float:
    """The share of answers that are among the likeliest tokens."""
    return float((logits.topk(_TOP).indices == answers[:, None]).any(-1).float().mean())


def report(setting: Setting, heads: list[Head], circuit: Circuit | None) -> Iterator[str]:
    """A table of the heads that play a part, and one beside the published circuit."""
    inside = set() if circuit is None else {node.name for node in circuit.nodes()}
    mark = "" if circuit is None else " in the circuit |"
    yield f"{setting.model.name}, {len(setting.prompts)} prompts of ioi; shares in percent."
    yield ""
    columns = "end→IO | end→S1 | end→S2 | S2→S1 | S2→S1+1 | previous | direct | copies | copies not"
    yield f"| head | part | {columns} |{mark}"
    yield "|---" * (11 + (circuit is not None)) + "|"
    for part in PARTS:
        key = (lambda it: -abs(it.direct)) if "mover" in part else (lambda it: int(it.name[1:].partition(".")[0]))
        for head in sorted((one for one in heads if one.part == part), key=key):
            values = [value for name, value in vars(head).items() if name != "name"]
            member = "" if circuit is None else f" {'yes' if head.name in inside else 'no'} |"
            yield f"| {head.name} | {part} | " + " | ".join(str(round(100 * value)) for value in values) + f" |{member}"
    yield ""
    yield "| part | here | at the depth | published in GPT-2 small | at the depth |"
    yield "|---|---|---|---|---|"
    published, n_layers = reference("ioi"), setting.graph.cfg.n_layers
    for part in PARTS:
        own = [one.name for one in heads if one.part == part]
        theirs = published.roles.get(part, ())
        depth = _depth(own, n_layers), _depth(theirs, published.circuit.graph.cfg.n_layers)
        yield f"| {part} | {len(own)} | {depth[0]} | {len(theirs)} | {depth[1]} |"


def _depth(heads: list[str] | tuple[str, ...], n_layers: int) -> str:
    """The layers of some heads, first to last, as shares of all layers."""
    layers = [int(name[1:].partition(".")[0]) for name in heads]
    return f"{min(layers) / n_layers:.0%} to {max(layers) / n_layers:.0%}" if layers else ""


if __name__ == "__main__":
    main(command, "name_movers")

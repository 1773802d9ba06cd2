"""What each node of a circuit does, as the page of a run shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from acdc.analysis.detectors import head_detectors, labels
from acdc.analysis.direct import direct_attribution
from acdc.analysis.ov import ov_summary
from acdc.analysis.patterns import attention_patterns
from acdc.circuit import Circuit
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.explorer.seen import Likely, Pattern, SeenNode, SeenPrompt, Written
from acdc.nodescores import node_scores
from acdc.wording import counted

#: Characters that the patterns of a page may take, and what heads write of each token; and prompts that have them.
_PATTERN_TEXT, _WRITTEN_TEXT = 4_000_000, 500_000
_MOST_PATTERNS, _MOST_WRITTEN = 12, 6
#: Of two patterns, a place of each as a byte in base64; of what is written of one token, four tokens with a
#: number at either end.
_PATTERN_PLACE, _WRITTEN_TOKEN = 2 * 4 / 3, 130
_TOP = 4


@dataclass(frozen=True)
class Place:
    """Where a prompt of the page comes from.

    Attributes:
        setting: that it was run in.
        number: its own in the setting.
        prompt: itself.
    """

    setting: Setting
    number: int
    prompt: SeenPrompt


@dataclass
class Found:
    """What has been found of the nodes so far."""

    nodes: dict[str, SeenNode]
    missing: list[str] = field(default_factory=list)

    def add(self, name: str, **values: object) -> None:
        """Note something of a node."""
        self.nodes[name] = replace(self.nodes[name], **values)  # type: ignore[arg-type]


def see_nodes(circuit: Circuit, places: Sequence[Place]) -> Found:
    """Look at every node of a circuit.

    Args:
        circuit: of the model of the settings.
        places: the prompts of the page, in its order, those used before those held out.
    """
    found = Found({node.name: SeenNode() for node in circuit.nodes()})
    _add_direct(found, places)
    if heads := _by_score(circuit):
        _add_detectors(found, heads, places[0].setting)
        _add_patterns(found, heads, places)
        _add_writes(found, heads, places)
    return found


def _by_score(circuit: Circuit) -> list[str]:
    """The circuit's heads, those that matter most first."""
    nodes = [*node_scores(circuit).strongest(), *circuit.nodes()]
    return list(dict.fromkeys(node.name for node in nodes if node.kind == "head"))


def _add_direct(found: Found, places: Sequence[Place]) -> None:
    """Direct logit attribution on every prompt, the mean over its predictions."""
    made = []
    for setting, numbers in _by_setting(places, range(len(places))):
        try:
            direct = direct_attribution(setting)
        except SettingsError as error:
            found.missing.append(f"There is no direct logit attribution: {error}")
            return
        n = len(setting.prompts)
        sums = np.zeros((n, len(direct.nodes), 2))
        both = (direct.right, direct.wrong)
        if direct.against != "wrong":
            both = (direct.difference, np.full_like(direct.wrong, np.nan))
        np.add.at(sums, direct.prompts, np.stack(both, -1).swapaxes(0, 1))
        made.append((sums / np.bincount(direct.prompts, minlength=n)[:, None, None])[list(numbers)])
    values = np.concatenate(made)  # [prompt, n_sources, right or wrong]
    for i, name in enumerate(direct.nodes):
        if name in found.nodes:
            found.add(name, direct=values[:, i])


def _add_detectors(found: Found, heads: Sequence[str], setting: Setting) -> None:
    """What kind each head is."""
    made = head_detectors(setting)
    known = labels(made)
    for name in heads:
        found.add(name, detectors=made.of(name), label=known.get(name))


def _add_patterns(found: Found, heads: Sequence[str], places: Sequence[Place]) -> None:
    """Where heads look, on some prompts."""
    taken = [_PATTERN_PLACE * len(heads) * len(place.prompt.pair.tokens) ** 2 for place in places]
    chosen = _chosen(places, taken, _PATTERN_TEXT, _MOST_PATTERNS)
    if len(chosen) < len(places):
        found.missing.append(
            f"Where heads look is shown on {counted(len(chosen), 'prompt')}: on the first of each kind, and on those "
            "on which the circuit is farthest from the model."
        )
    patterns: dict[str, dict[int, Pattern]] = {name: {} for name in heads}
    for setting, numbers in _by_setting(places, chosen):
        made = attention_patterns(setting, heads, prompts=list(numbers))
        for number, i in numbers.items():
            for name in heads:
                patterns[name][i] = made.of(name, number)
    for name in heads:
        found.add(name, patterns=patterns[name])


def _add_writes(found: Found, heads: Sequence[str], places: Sequence[Place]) -> None:
    """What the OV circuits write of each token, on fewer prompts, and of the heads that matter most if need be."""
    longest = max(len(place.prompt.pair.tokens) for place in places)
    some = heads[: max(1, _WRITTEN_TEXT // (_WRITTEN_TOKEN * longest))]
    taken = [_WRITTEN_TOKEN * len(some) * len(place.prompt.pair.tokens) for place in places]
    chosen = _chosen(places, taken, _WRITTEN_TEXT, _MOST_WRITTEN)
    writes: dict[str, dict[int, list[Written]]] = {name: {} for name in some}
    for setting, numbers in _by_setting(places, chosen):
        try:
            made = ov_summary(setting, some, prompts=list(numbers), top=min(_TOP, setting.model.n_outputs))
        except SettingsError as error:
            found.missing.append(f"What heads write of each token isn't shown: {error}")
            return
        for number, i in numbers.items():
            for name in some:
                both = zip(made.of(name, number), made.lowest_of(name, number), strict=True)
                writes[name][i] = [Written(_towards(1, raised), _towards(-1, lowered)) for raised, lowered in both]
    if len(chosen) < len(places) or len(some) < len(heads):
        of = "" if len(some) == len(heads) else f", of the {counted(len(some), 'head')} of the largest scores"
        found.missing.append(f"What heads write of each token is shown on {counted(len(chosen), 'prompt')}{of}.")
    for name in some:
        found.add(name, writes=writes[name])


def _towards(sign: int, written: Sequence[Likely]) -> list[Likely]:
    """What goes this way: where outputs are few, the lowest reach into what rises."""
    return [one for one in written if sign * one.value > 0]


def _chosen(places: Sequence[Place], taken: Sequence[float], room: float, most: int) -> list[int]:
    """The prompts that most deserve a look, in the page's order: as many as there is room for, and at least one."""
    chosen: list[int] = []
    for i in _to_look_at(places):
        room -= taken[i]
        if chosen and (room < 0 or len(chosen) == most):
            break
        chosen.append(i)
    return sorted(chosen)


def _to_look_at(places: Sequence[Place]) -> list[int]:
    """The prompts in the order in which they deserve a look: first ones and worst ones by turns."""
    kinds = {(place.prompt.template, place.prompt.held_out): i for i, place in reversed(list(enumerate(places)))}
    worst = sorted(range(len(places)), key=lambda i: -places[i].prompt.values["circuit"]["kl"])
    turns = [i for pair in zip(sorted(kinds.values()), worst, strict=False) for i in pair]
    return list(dict.fromkeys((*turns, *worst)))


def _by_setting(places: Sequence[Place], chosen: Sequence[int]) -> list[tuple[Setting, dict[int, int]]]:
    """Each setting with the page's numbers of its chosen prompts, by their own numbers."""
    found: dict[int, tuple[Setting, dict[int, int]]] = {}
    for i in chosen:
        setting = places[i].setting
        found.setdefault(id(setting), (setting, {}))[1][places[i].number] = i
    return list(found.values())

"""What each node of a circuit does, as the page of a run shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from acdc.analysis.direct import direct_attribution
from acdc.analysis.patterns import attention_patterns
from acdc.circuit import Circuit
from acdc.engine.setting import Setting
from acdc.errors import SettingsError
from acdc.graph import Node
from acdc.nodescores import node_scores
from acdc.view.seen import SeenNode, SeenPrompt
from acdc.wording import counted

#: Bytes that patterns may take on a page, and prompts that have them at most.
_PATTERN_BYTES, _MOST_PATTERNS = 4_000_000, 12


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
        places: the prompts of the page, in its order.
    """
    found = Found({node.name: SeenNode() for node in circuit.nodes()})
    _add_direct(found, places)
    if heads := _by_score(circuit):
        _add_patterns(found, heads, places)
    return found


def _by_score(circuit: Circuit) -> list[Node]:
    """The circuit's heads, those that matter most first."""
    strongest = [node for node in node_scores(circuit).strongest() if node.kind == "head"]
    return strongest + [node for node in circuit.nodes() if node.kind == "head" and node not in strongest]


def _add_direct(found: Found, places: Sequence[Place]) -> None:
    """Direct logit attribution on every prompt, the mean over its predictions."""
    made = []
    for setting, numbers in _settings(places):
        try:
            direct = direct_attribution(setting)
        except SettingsError as error:
            found.missing.append(f"There is no direct logit attribution: {error}")
            return
        n = len(setting.prompts)
        sums = np.zeros((n, len(direct.nodes), 2))
        np.add.at(sums, direct.prompts, np.stack((direct.right, direct.wrong), -1).swapaxes(0, 1))
        made.append((sums / np.bincount(direct.prompts, minlength=n)[:, None, None])[numbers])
    values = np.concatenate(made)  # [prompt, n_sources, right or wrong]
    for i, name in enumerate(direct.nodes):
        if name in found.nodes:
            found.add(name, direct=values[:, i])


def _add_patterns(found: Found, heads: Sequence[Node], places: Sequence[Place]) -> None:
    """Where heads look, on some prompts."""
    lengths = [len(place.prompt.pair.tokens) for place in places]
    bytes_each = len(heads) * 2 * 4 / 3  # two patterns of a head, in base64
    chosen, room = [], float(_PATTERN_BYTES)
    for i in _to_look_at(places):
        room -= bytes_each * lengths[i] ** 2
        if chosen and (room < 0 or len(chosen) == _MOST_PATTERNS):
            break
        chosen.append(i)
    if len(chosen) < len(places):
        found.missing.append(
            f"Where heads look is shown on {counted(len(chosen), 'prompt')}: the first of each kind, and those on "
            "which the circuit is farthest from the model."
        )
    names = [node.name for node in heads]
    patterns: dict[str, dict[int, object]] = {name: {} for name in names}
    for setting, of_page in _chosen_settings(places, sorted(chosen)):
        made = attention_patterns(setting, names, prompts=list(of_page))
        for number, i in of_page.items():
            for name in names:
                patterns[name][i] = made.of(name, number)
    for name in names:
        found.add(name, patterns=patterns[name])


def _to_look_at(places: Sequence[Place]) -> list[int]:
    """The prompts in the order in which they deserve a look: first ones and worst ones by turns."""
    kinds = {(place.prompt.template, place.prompt.held_out): i for i, place in reversed(list(enumerate(places)))}
    worst = sorted(range(len(places)), key=lambda i: -places[i].prompt.values["circuit"]["kl"])
    turns = [i for pair in zip(sorted(kinds.values()), worst, strict=False) for i in pair]
    return list(dict.fromkeys((*turns, *worst)))


def _settings(places: Sequence[Place]) -> Iterator[tuple[Setting, list[int]]]:
    """Each setting with the numbers of its prompts, in the page's order."""
    for setting, of_page in _chosen_settings(places, range(len(places))):
        yield setting, list(of_page)


def _chosen_settings(places: Sequence[Place], chosen: Sequence[int]) -> Iterator[tuple[Setting, dict[int, int]]]:
    """Each setting with the page's number of each of its chosen prompts, by its own number."""
    by_setting: dict[int, dict[int, int]] = {}
    settings = {}
    for i in chosen:
        setting = places[i].setting
        settings[id(setting)] = setting
        by_setting.setdefault(id(setting), {})[places[i].number] = i
    for key, of_page in by_setting.items():
        yield settings[key], of_page

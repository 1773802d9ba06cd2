"""A circuit shrinks from the output back: out of that order an engine raises, and in it the engines agree."""

import re

import numpy as np
import pytest
import torch
from families import random_model

import acdc
from acdc.engine.fast.engine import FastEngine
from acdc.engine.fast.recomputing import Recomputing
from acdc.engine.reference import ReferenceEngine
from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.metrics import METRICS
from acdc.pairs import PromptSet, TokenPair

ENGINES = [FastEngine, ReferenceEngine]


def draw_setting(kind):
    """A small random model on pairs of unequal length."""
    draws = np.random.default_rng(0)
    pairs = []
    for length in (5, 7):
        clean, corrupted = (tuple(draws.integers(18, size=length).tolist()) for _ in range(2))
        pairs.append(TokenPair(clean, corrupted, (length - 3, length - 1)))
    torch.manual_seed(0)
    return prepare(acdc.load_model(random_model(kind, torch.float64)), PromptSet(tuple(pairs), "drawn"))


SETTINGS = {}


def setting(kind="gpt2"):
    """Drawn once."""
    if kind not in SETTINGS:
        SETTINGS[kind] = draw_setting(kind)
    return SETTINGS[kind]


def begin(engine, kind="gpt2"):
    return engine(setting(kind), METRICS["kl"])


def numbers(engine, *names):
    return np.array([engine.graph.edge(name).number for name in names])


def into(engine, name):
    """All edges into a slot."""
    edges = engine.graph.slot(name).edges
    return np.arange(edges.start, edges.stop)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("kind", "lost", "late"),
    [
        ("gpt2", "input->a0.h0<v>", "m0->m1"),
        ("gpt2", "input->a0.h0<v>", "input->m1"),  # of a source that is still clean
        ("gpt2", "input->a0.h0<v>", "a0.h0->m0"),
        ("gpt2", "a0.h0->m0", "m0->a1.h2<q>"),
        ("gpt2", "m0->a1.h2<k>", "a1.h3->m1"),
        ("gpt2", "m0->m1", "m1->logits"),
        ("gpt-neox-parallel", "m0->a1.h2<k>", "m1->logits"),
        ("gpt-neox-parallel", "input->m0", "m0->m1"),
        ("gemma2", "m0->a1.h2<k>", "a1.h3->m1"),
    ],
)
def test_a_slot_behind_one_that_has_lost_an_edge_comes_too_late(engine, kind, lost, late):
    runner = begin(engine, kind)
    runner.remove(numbers(runner, lost))
    before = runner.metric()
    slots = re.escape(late.split("->")[1]), re.escape(lost.split("->")[1])
    told = "{} comes too late: {} in front of it has lost an edge already; go from the output back".format(*slots)
    for ask in (lambda edges: runner.removals([edges]), runner.remove):
        with pytest.raises(SettingsError, match=told):
            ask(numbers(runner, late))
    assert runner.kept.sum() == runner.graph.n_edges - 1
    assert runner.metric() == before


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_only_tried_hinders_nothing(engine):
    runner = begin(engine)
    list(runner.removals([numbers(runner, "input->a0.h0<v>")]))
    assert len(list(runner.removals([numbers(runner, "m0->m1")]))) == 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([["m0->m1"], ["m0->logits"]], "edges into m1 and into logits are asked about together; ask about one slot"),
        ([["m0->logits", "m0->m1"]], "edges into logits and into m1 are asked about together"),
        ([["m0->m1"], ["m0->m1"]], "m0->m1 is given twice; leave one out"),
        ([["m0->m1", "a0.h1->m1", "m0->m1"]], "m0->m1 is given twice"),
        ([["a0.h0->m1"], ["input->m1"]], "a0.h0->m1 was removed before; leave it out"),
        ([["input->m1", "a0.h0->m1"]], "a0.h0->m1 was removed before"),
        ([["m0->m1"], []], "group 2 of 2 holds no edge; leave it out"),
        ([[]], "group 1 of 1 holds no edge"),
        ([[-1]], "edge number -1 is outside 0 .. "),
        ([[10**6]], f"edge number {10**6} is outside 0 .. "),
        ([["m0->m1"], [10**15]], f"edge number {10**15} is outside 0 .. "),
        ([[2.0]], "edges are given as an array of their numbers, not "),
        ([[True, False]], "edges are given as an array of their numbers, not .*; of a mask, `np.flatnonzero` gives"),
        ([[[1, 2]]], "edges are given as an array of their numbers, not "),
        ([3], "each group of edges is an array of their numbers; give a list of such"),
    ],
)
def test_groups_that_make_no_sense_are_refused(engine, groups, told):
    runner = begin(engine)
    runner.remove(numbers(runner, "a0.h0->m1"))

    def number(edge):
        return runner.graph.edge(edge).number if isinstance(edge, str) else edge

    asked = [group if isinstance(group, int) else np.array([number(edge) for edge in group]) for group in groups]
    asked = [group.astype(int) if getattr(group, "size", 1) == 0 else group for group in asked]
    with pytest.raises(SettingsError, match=told):
        runner.removals(asked)
    assert list(runner.removals([])) == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("edges", "told"),
    [
        (["m0->m1", "m0->m1"], "m0->m1 is given twice"),
        (["input->m1", "a0.h0->m1"], "a0.h0->m1 was removed before"),
        (["m0->m1", "m1->logits"], "logits comes too late: m1 in front of it has lost an edge already"),
        (["m0->m1", 10**15], f"edge number {10**15} is outside 0 .. "),
        ([-1, "m0->m1"], "edge number -1 is outside 0 .. "),
        ([True, False], "edges are given as an array of their numbers, not .*; of a mask, `np.flatnonzero` gives"),
    ],
)
def test_what_cannot_be_removed_is_refused_and_nothing_is(engine, edges, told):
    runner = begin(engine)
    runner.remove(numbers(runner, "a0.h0->m1"))
    runner.remove(np.array([], dtype=int))
    before, kept = runner.metric(), runner.kept
    with pytest.raises(SettingsError, match=told):
        runner.remove(np.array([runner.graph.edge(edge).number if isinstance(edge, str) else edge for edge in edges]))
    assert np.array_equal(runner.kept, kept)
    assert runner.metric() == before


@pytest.mark.parametrize("engine", ENGINES)
def test_removals_end_where_the_circuit_changes(engine):
    runner = begin(engine)
    groups = [numbers(runner, name) for name in ("m0->m1", "a0.h0->m1")]
    asked, begun = runner.removals(groups), runner.removals(groups)
    next(begun)
    runner.remove(groups[0])
    for late in (asked, begun):
        with pytest.raises(SettingsError, match="the circuit has changed since these removals were asked about"):
            next(late)


@pytest.mark.parametrize("engine", ENGINES)
def test_kept_is_a_copy(engine):
    runner = begin(engine)
    runner.kept[:] = False
    assert runner.kept.all()


@pytest.mark.parametrize("kind", ["gpt2", "gpt-neox-parallel", "llama", "olmo2"])
def test_edges_of_several_slots_go_in_one_call_from_the_output_back(kind):
    quick, slow = (begin(engine, kind) for engine in ENGINES)
    draws = np.random.default_rng(1)
    quick.remove(into(quick, "logits")[::2])
    slow.remove(into(slow, "logits")[::2])
    some = draws.permutation(np.flatnonzero(draws.random(quick.graph.slots[-1].first_edge) < 0.2))
    for engine in (quick, slow):
        engine.remove(some)
    assert quick.metric() == pytest.approx(slow.metric(), abs=1e-9)
    assert slow.metric() > 0.01
    assert np.array_equal(quick.kept, slow.kept)
    assert quick.kept.sum() == quick.graph.n_edges - len(some) - len(into(quick, "logits")[::2])


def told(engine, groups, stay):
    """The values of removals, where it is told which groups stay."""
    removals, values, stays = engine.removals(groups), [], None
    for group_stays in stay:
        values.append(removals.send(stays))
        stays = group_stays
    with pytest.raises(StopIteration):
        removals.send(stays)
    return values


@pytest.mark.drawn
@pytest.mark.parametrize("kind", ["gpt2", "olmo2"])
def test_each_group_is_tried_on_top_of_those_that_went(kind, monkeypatch):
    """Whether it was expected to go or not, and in fewer batches than there are groups that stay."""
    batches = []
    run = Recomputing.run
    monkeypatch.setattr(
        Recomputing, "run", lambda *args, **kw: batches.append(kw.get("score", True)) or run(*args, **kw)
    )
    quick, slow = (begin(engine, kind) for engine in ENGINES)
    draws = np.random.default_rng(0)
    n_stayed = 0
    for slot in reversed(quick.graph.slots):
        parents = draws.permutation(slot.n_parents)
        groups = np.split(slot.first_edge + parents, sorted(draws.choice(slot.n_parents, slot.n_parents * 2)))
        groups = [group for group in groups if len(group)]
        stay = [bool(group[0] % 2 == slot.first_edge % 2) != bool(draws.random() < 0.05) for group in groups]
        assert told(quick, groups, stay) == pytest.approx(told(slow, groups, stay), abs=1e-9), slot.name
        n_stayed += sum(stay)
        if not all(stay):
            for engine in (quick, slow):
                engine.remove(np.concatenate([group for group, stays in zip(groups, stay, strict=True) if not stays]))
    assert quick.metric() == pytest.approx(slow.metric(), abs=1e-9)
    assert all(batches)  # what was accepted needn't be run again
    assert 0 < len(batches) < n_stayed, n_stayed


@pytest.mark.drawn
@pytest.mark.parametrize("kind", ["gpt2", "gpt-neox-parallel", "gemma2"])
def test_engines_agree_on_whatever_order_they_allow(kind):
    """Slots drawn, tried and thinned out at will: the same is refused, and all else gives the same numbers."""
    n_refused = n_compared = 0
    for case in range(8):
        draws = np.random.default_rng(case)
        quick, slow = (begin(engine, kind) for engine in ENGINES)
        graph = quick.graph
        at = len(graph.slots) - 1
        for _ in range(25):
            at = min(len(graph.slots) - 1, max(0, at - int(draws.integers(-3, 6))))
            slot = graph.slots[at]
            edges = slot.first_edge + draws.permutation(np.flatnonzero(quick.kept[slot.edges]))
            if not len(edges):
                continue
            cuts = np.sort(draws.choice(len(edges), size=min(len(edges), 3), replace=False))
            groups = [group for group in np.split(edges, cuts) if len(group)]
            n_removed = int(draws.integers(len(groups) + 1)) if draws.random() < 0.6 else 0
            try:
                expected = list(slow.removals(groups))
            except SettingsError as error:
                with pytest.raises(SettingsError, match=re.escape(str(error))):
                    quick.removals(groups)
                n_refused += 1
                continue
            assert list(quick.removals(groups)) == pytest.approx(expected, abs=1e-9), (case, slot.name)
            n_compared += len(groups)
            for engine in (slow, quick):
                for group in groups[:n_removed]:
                    engine.remove(group)
            if draws.random() < 0.3:
                assert quick.metric() == pytest.approx(slow.metric(), abs=1e-9), (case, slot.name)
    assert n_refused > 5
    assert n_compared > 50

"""What a run costs against the size of things."""

import json
from pathlib import Path

import numpy as np
import pytest
import scaling
from shapes import Seconds, TimedRun

from acdc.decision import Decision
from acdc.graph import Graph

INPUT, LOGITS = (lambda graph: (graph.nodes[0], graph.slot("logits")))(Graph.from_config(1, 1))


@pytest.mark.parametrize("planted", [-0.5, 0, 1, 2.3])
def test_the_exponent_of_a_power_law_comes_out(planted):
    curve = [(value, 7 * value**planted) for value in (0.5, 1, 3, 8)]
    assert scaling.exponent(curve) == pytest.approx(planted, abs=1e-9)
    # Errors that are as often too high as too low, by the same factor, at both ends.
    noisy = [(value, cost * factor) for (value, cost), factor in zip(curve, (1.1, 1 / 1.1, 1 / 1.1, 1.1), strict=True)]
    assert scaling.exponent(noisy) == pytest.approx(planted, abs=0.05)


@pytest.mark.parametrize("start", [1e-6, 0.02, 1e3])
@pytest.mark.parametrize("target", [10, 48, 200])
def test_a_threshold_for_a_number_of_edges_is_found(start, target):
    tried = []

    def effects_at(threshold):
        # As in real runs: the more goes, the more the rest matters, and most removals cost nothing.
        tried.append(threshold)
        effects = np.exp(np.random.default_rng(0).normal(-8, 2, 479))
        return [*(effects * (1 + (effects < threshold).mean())), *[-1e-9] * 100]

    found = scaling.find_threshold(effects_at, start, target)
    assert found in tried
    assert len(tried) <= scaling.MOST_RUNS
    tried.append(found)
    assert sum(effect >= found for effect in effects_at(found)) == pytest.approx(target, rel=scaling.TOLERANCE)


def test_where_no_threshold_keeps_enough_the_search_ends():
    assert scaling.find_threshold(lambda threshold: [1.0, -1.0, -1.0], 10.0, 3) <= 1


def test_everything_is_varied_alone():
    values = {"layers": (2, 1), "heads": (2, 4, 2), "width": (16,), "prompts": (4, 8, 2), "length": (6,)}
    base, others = scaling.plan(values)
    assert base == scaling.Point(layers=2, heads=2, width=16, prompts=4, length=6)
    varied = [(name, getattr(point, name)) for name, point in others]
    assert varied == [("layers", 1), ("heads", 4), ("prompts", 8), ("prompts", 2)]
    for name, point in others:
        assert scaling.replace(point, **{name: getattr(base, name)}) == base


def small(**values):
    """Options for a sweep of seconds."""
    given = {"layers": "1,2", "heads": "2", "width": "16,32", "prompts": "2", "length": "6", "rounds": "1"} | values
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def test_a_sweep_writes_its_table_and_plot(run, monkeypatch):
    monkeypatch.setattr(scaling, "VOCAB_SIZE", 50)
    code, out, err = run(scaling, *small(), "--out", "made/here")
    assert code == 0, err
    record = json.loads(Path("made/here/scaling.json").read_text())
    assert record["base"] == {"layers": 1, "heads": 2, "width": 16, "prompts": 2, "length": 6}
    base, *others = record["rows"]
    assert (base["varied"], base["ratio"]) == ("base", 1)
    assert [(row["varied"], row["point"][row["varied"]]) for row in others] == [("layers", 2), ("width", 32)]
    for row in record["rows"]:
        assert row["edges"] == Graph.from_config(row["point"]["layers"], row["point"]["heads"]).n_edges
        assert row["kept"] <= row["tried"] <= row["edges"]
        assert min(row["seconds"], row["setup_seconds"], row["threshold"]) > 0
    assert others[0]["decision_ratio"] == pytest.approx(others[0]["ratio"] * base["tried"] / others[0]["tried"])
    assert record["exponents"]["a whole run"]["layers"] == pytest.approx(np.log2(others[0]["ratio"]))
    assert record["exponents"]["an edge tried"]["width"] == pytest.approx(np.log2(others[1]["decision_ratio"]))
    assert "layers: exponent" in out
    assert Path("made/here/scaling.png").read_bytes().startswith(b"\x89PNG")
    drawn = Path("made/here/scaling.svg").read_text()
    assert "</svg>" in drawn
    assert "size, as a multiple of the base" in drawn


def test_planted_costs_come_out(run, monkeypatch):
    planted = {"layers": 2.5, "width": -0.5, "prompts": 1.0, "length": 0.0}
    calls = iter(range(1000))

    def planted_run(model, prompts, threshold):
        sizes = (model.graph_config.n_layers, model.graph_config.d_model, len(prompts), len(prompts.pairs[0].clean))
        cost = np.prod([size**power for size, power in zip(sizes, planted.values(), strict=True)])
        # The machine slows down all the time, and now and then something disturbs it.
        call = next(calls)
        took = Seconds(cost * 1.02**call * (2 if call % 5 == 0 else 1), 1.0)
        return TimedRun(Seconds(9.0, 9.0), took, (Decision(LOGITS, INPUT, 0.0, 1.0, True),) * 10)

    monkeypatch.setattr(scaling, "VOCAB_SIZE", 50)
    monkeypatch.setattr(scaling, "timed_run", planted_run)
    options = small(layers="2,1,4", width="16,32", prompts="4,2,1", length="6,3", rounds="2", share="0.5")
    assert run(scaling, *options, "--out", "planted")[0] == 0
    exponents = json.loads(Path("planted/scaling.json").read_text())["exponents"]["a whole run"]
    assert exponents == pytest.approx(planted, abs=0.1)


def test_a_base_alone_has_no_plot(run, monkeypatch):
    monkeypatch.setattr(scaling, "VOCAB_SIZE", 50)
    code, out, _ = run(scaling, *small(layers="1", width="16"), "--out", "alone")
    assert code == 0
    assert "base" in out
    assert [path.name for path in Path("alone").iterdir()] == ["scaling.json"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (small(layers="1,x"), "--layers takes whole numbers above 0"),
        (small(prompts="0"), "--prompts takes whole numbers above 0"),
        (small(length=""), "--length takes whole numbers above 0"),
        (small(heads="2,3"), "width must be a multiple of the heads"),
        (small(share="1"), "--share takes a number between 0 and 1"),
    ],
)
def test_sizes_that_are_none_are_refused_before_anything_runs(run, options, words):
    code, _, err = run(scaling, *options, "--out", "refused")
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
    assert not Path("refused").exists()

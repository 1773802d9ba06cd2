"""How much memory a run needs is said before it begins."""

from dataclasses import replace

import pytest

import acdc
from acdc.engine import memory
from acdc.engine.memory import largest_batch, memory_estimate
from acdc.errors import SettingsError
from acdc.prompts import PromptSet, TokenPair


def prompts(n, length):
    """Pairs that differ in their first token."""
    pairs = (TokenPair((1,) + (3,) * (length - 1), (2,) + (3,) * (length - 1), (length - 1,)) for _ in range(n))
    return PromptSet(tuple(pairs), "drawn")


@pytest.fixture(scope="module")
def model():
    """The bundled model."""
    return acdc.load_model("tiny-tasks")


def test_it_grows_with_prompts_and_length_but_not_below_what_is_kept(model):
    sizes = {(n, length): memory_estimate(model, prompts(n, length)).usual for n in (10, 100) for length in (8, 16)}
    assert sizes[10, 8] < sizes[10, 16] < sizes[100, 8] < sizes[100, 16]
    cfg = model.graph_config
    one = (1 + cfg.n_layers * (cfg.n_heads + 1)) * cfg.d_model * 4  # contributions of a token, in float32
    assert sizes[100, 16] - sizes[10, 16] > 3 * 90 * 16 * one  # ablated, differences, evaluated


def test_the_reference_needs_less_and_attribution_more(model):
    few = prompts(20, 8)
    usual = memory_estimate(model, few)
    assert memory_estimate(model, few, engine="reference").at_most < usual.usual < usual.at_most
    assert memory_estimate(model, few, engine="reference", order="attribution").usual > (
        memory_estimate(model, few, engine="reference").usual
    )


def test_fewer_positions_that_matter_and_smaller_batches_need_less(model):
    late = PromptSet(tuple(replace(pair, corrupted=(*pair.clean[:-1], 2)) for pair in prompts(50, 16).pairs), "late")
    assert memory_estimate(model, late).usual < memory_estimate(model, prompts(50, 16)).usual
    assert memory_estimate(model, late, ablation="zero") == memory_estimate(model, prompts(50, 16), ablation="zero")
    many = prompts(4000, 16)
    sizes = [memory_estimate(model, many, batch_size=size).usual for size in (1000, 2000, 4000)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_as_many_prompts_are_run_together_as_fit(model, monkeypatch):
    many, of_a_prompt = prompts(4000, 16), 16 * 37 * 128 * 4
    monkeypatch.setattr(memory, "_KEPT_BYTES", 4000 * of_a_prompt)
    needed = {size: memory_estimate(model, many, batch_size=size).usual for size in (4000, 2000)}
    assert largest_batch(model, many, None) == largest_batch(model, many, needed[4000]) == 4000
    assert largest_batch(model, many, needed[4000] - 1) == 2000
    assert largest_batch(model, many, needed[2000] - 1) == 1000
    assert largest_batch(model, many, 1) == 1
    monkeypatch.setattr(memory, "_KEPT_BYTES", 1500 * of_a_prompt)
    assert largest_batch(model, many, None) == 1334  # three chunks of the same size
    assert largest_batch(model, many, None, engine="reference") == 4000  # which would compute them for every edge


def test_a_run_says_what_it_needs_and_warns_where_that_is_not_there(model, monkeypatch):
    said = []
    acdc.discover(model, "ioi", threshold=5.0, n=4, progress=False, announce=said.append)
    assert [line for line in said if line.startswith("memory: about ")]
    monkeypatch.setattr("acdc.discovery.available_memory", lambda: 2**20)
    with pytest.warns(acdc.AcdcWarning, match="GB are free; lower --batch-size or --n"):
        run = acdc.discover(model, "ioi", threshold=5.0, n=4, progress=False, announce=said.append)
    assert run.record["batch_size"] == 1
    assert "(1 of the 4 prompts at a time)" in said[-4] + said[-3] + said[-2] + said[-1]


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
def test_in_chunks_of_prompts_everything_is_the_same(model, engine, ablation):
    options = {
        "threshold": 0.05,
        "n": 5,
        "ablation": ablation,
        "engine": engine,
        "order": "attribution",
        "progress": False,
    }
    one, few = (acdc.discover(model, "ioi", batch_size=size, **options) for size in (5, "2"))
    assert [(d.edge, d.kept) for d in one.decisions] == [(d.edge, d.kept) for d in few.decisions]
    assert [d.after for d in few.decisions] == pytest.approx([d.after for d in one.decisions], abs=1e-4)
    assert few.record["batch_size"] == 2
    circuits = [run.record["results"]["used"]["circuit"]["metrics"]["kl"] for run in (one, few)]
    assert circuits[0] == pytest.approx(circuits[1], abs=1e-4)


@pytest.mark.parametrize("size", [0, -3, "few", "1.5"])
def test_a_batch_size_that_is_none_is_refused(model, size):
    with pytest.raises(SettingsError, match="the batch size must be a number of prompts or auto, not "):
        acdc.discover(model, "ioi", batch_size=size)


def test_free_memory_is_read_from_the_system_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMORY_INFO", tmp_path / "meminfo")
    assert memory.available_memory() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:  3 kB\n")
    assert memory.available_memory() == 3 * 1024

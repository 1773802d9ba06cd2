"""How much memory a run needs is said before it begins."""

import pytest

import acdc
from acdc.engine import memory
from acdc.engine.memory import memory_estimate
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
    sizes = {(n, length): memory_estimate(model, prompts(n, length)) for n in (10, 100) for length in (8, 16)}
    assert sizes[10, 8] < sizes[10, 16] < sizes[100, 8] < sizes[100, 16]
    cfg = model.graph_config
    one = (1 + cfg.n_layers * (cfg.n_heads + 1)) * cfg.d_model * 4  # contributions of a token, in float32
    assert sizes[100, 16] - sizes[10, 16] > 3 * 90 * 16 * one  # ablated, differences, evaluated


def test_the_reference_needs_less_and_attribution_more(model):
    few = prompts(20, 8)
    assert memory_estimate(model, few, engine="reference") < memory_estimate(model, few)
    assert memory_estimate(model, few, order="attribution") > memory_estimate(model, few)


def test_a_run_says_what_it_needs_and_warns_where_that_is_not_there(model, monkeypatch):
    said = []
    acdc.discover(model, "ioi", threshold=5.0, n=4, progress=False, announce=said.append)
    assert [line for line in said if line.startswith("memory: at most about ")]
    monkeypatch.setattr("acdc.discovery.available_memory", lambda: 2**20)
    with pytest.warns(acdc.AcdcWarning, match="GB are free; lower --n"):
        acdc.discover(model, "ioi", threshold=5.0, n=4, progress=False)


def test_free_memory_is_read_from_the_system_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMORY_INFO", tmp_path / "meminfo")
    assert memory.available_memory() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:  3 kB\n")
    assert memory.available_memory() == 3 * 1024

"""How much memory a run needs is said before it begins."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers as tf

import acdc
from acdc.engine import memory
from acdc.engine.contributions import contribution_bytes
from acdc.engine.fast import mlps
from acdc.engine.fast.baseline import baseline_bytes, run_clean
from acdc.engine.fast.engine import FastEngine
from acdc.engine.fast.heads import LayerHeads, head_bytes
from acdc.engine.fast.mlps import LayerMlp, copy_bytes
from acdc.engine.fast.present import present_bytes
from acdc.engine.fast.scratch import Scratch
from acdc.engine.fast.tactics import Tactics
from acdc.engine.memory import largest_batch, memory_estimate, sizes_of
from acdc.engine.setting import prediction_bytes, prepare
from acdc.errors import SettingsError
from acdc.models import products
from acdc.pairs import PromptSet, TokenPair

pytestmark = pytest.mark.drawn


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
    assert memory_estimate(model, few, engine="reference", gradients=True).usual > (
        memory_estimate(model, few, engine="reference").usual
    )


def test_fewer_positions_that_matter_and_smaller_batches_need_less(model):
    late = PromptSet(tuple(replace(pair, corrupted=(*pair.clean[:-1], 2)) for pair in prompts(50, 16).pairs), "late")
    assert memory_estimate(model, late).usual < memory_estimate(model, prompts(50, 16)).usual
    assert memory_estimate(model, late, ablation="zero") == memory_estimate(model, prompts(50, 16), ablation="zero")
    many = prompts(4000, 16)
    sizes = [memory_estimate(model, many, batch_size=size).usual for size in (1000, 2000, 4000)]
    assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize(("ablation", "together"), [("corrupted", 20), ("zero", 7)])
def test_parts_take_what_they_say(model, ablation, together):
    few = prompts(20, 12)
    sizes = sizes_of(model, few, ablation, together)
    setting = prepare(model, few, ablation=ablation, batch_size=together)
    assert setting.contributions.clean(setting.contributions.chunks[0]).nbytes == contribution_bytes(sizes)
    assert 2 * setting.model_logits.nbytes < prediction_bytes(sizes)
    baseline, clean = run_clean(setting, Tactics())
    held = [baseline.difference, baseline.answer_difference, *clean.read_by_heads]
    held += [*baseline.clean_inputs.values(), *baseline.ablated_inputs.values()]
    assert sum(x.nbytes for x in held) == pytest.approx(baseline_bytes(sizes), rel=0.05)
    layers = [
        LayerHeads(attention, model.table(layer, setting.tokens), setting.tokens.filled)
        for layer, attention in enumerate(model.attention)
    ]
    vectors = [
        x
        for heads, read in zip(layers, clean.read_by_heads, strict=True)
        for x in heads.vectors(read, baseline.live).values()
    ]
    products = sizes.n_layers * sizes.live * (sizes.d_mlp + 3 * sizes.n_heads * sizes.d_head) * sizes.element
    assert sum(x.nbytes for x in (*vectors, *clean.mlp_outputs)) + products == present_bytes(sizes, 0.0)
    assert present_bytes(sizes, 0.0) < present_bytes(sizes, 0.5) < present_bytes(sizes, 1.0)
    assert head_bytes(sizes) == 4 * sum(heads.W_O.nbytes for heads in layers)


def test_copies_of_weights_are_counted_and_no_more_than_fit(model, monkeypatch):
    x = torch.randn(2, 5000, model.graph_config.d_model)
    copies = []

    def packed(turned, original=products._packed):
        copies.append(turned)
        return original(turned)

    monkeypatch.setattr(products, "_packed", packed)
    LayerMlp(model, 1, Scratch()).run(x)
    assert not copies
    mlp = LayerMlp(model, 0, Scratch(), keeps_copies=True)
    first = mlp.run(x)
    assert torch.equal(mlp.run(x), first)
    sizes, taken = sizes_of(model, prompts(20, 12), "corrupted", 20), sum(one.nbytes for one in copies)
    assert copies if products.packs() else not copies
    assert taken * sizes.n_layers <= copy_bytes(sizes) <= 1.5 * taken * sizes.n_layers
    monkeypatch.setattr(mlps, "_MOST_COPIES", max(0, taken * sizes.n_layers - 1))
    copies.clear()
    LayerMlp(model, 0, Scratch(), keeps_copies=True).run(x)
    assert not copies
    assert copy_bytes(sizes) == 0


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


@pytest.mark.random_models  # of a handful of prompts, some are answered as well when corrupted
def test_a_run_says_what_it_needs_and_warns_where_that_is_not_there(model, monkeypatch):
    said = []
    acdc.discover(model, "ioi", threshold=5.0, n=4, progress=False, announce=said.append)
    assert [line for line in said if line.startswith("memory: about ")]
    monkeypatch.setattr("acdc.discovery.planning.available_memory", lambda device: 2**20)
    with pytest.warns(acdc.AcdcWarning, match="GB are free; lower `n`, use"):
        run = acdc.discover(model, "ioi", threshold=5.0, n=4, progress=False, announce=said.append)
    assert run.record.batch_size == 1
    assert any("(1 of the 4 prompts at a time)" in line for line in said)


@pytest.mark.random_models  # of a handful of prompts, some are answered as well when corrupted
def test_a_run_in_chunks_of_prompts_is_the_same(model):
    options = {"threshold": 0.05, "n": 5, "order": "attribution", "progress": False}
    one, few = (acdc.discover(model, "ioi", batch_size=size, **options) for size in (5, "2"))
    assert [(d.edge, d.kept) for d in one.decisions] == [(d.edge, d.kept) for d in few.decisions]
    assert [d.after for d in few.decisions] == pytest.approx([d.after for d in one.decisions], abs=1e-4)
    assert few.record.batch_size == 2
    circuits = [run.record.results.used.circuit.metrics["kl"] for run in (one, few)]
    assert circuits[0] == pytest.approx(circuits[1], abs=1e-4)


@pytest.mark.random_models  # of a handful of prompts, some are answered as well when corrupted
def test_memory_is_planned_for_the_engine_that_runs(model, monkeypatch):
    """In half precision that is the reference, which would compute every chunk anew for every edge."""
    half = acdc.load_model("tiny-tasks", dtype="bfloat16")
    monkeypatch.setattr(memory, "_KEPT_BYTES", 1)
    sizes = [
        acdc.discover(opened, "ioi", threshold=5.0, n=3, progress=False).record.batch_size for opened in (model, half)
    ]
    assert sizes == [1, 3]


@pytest.mark.parametrize(
    "options",
    [
        ["--order", "default"],
        ["--order", "attribution", "--engine", "reference", "--threshold", "100"],
        ["--batch-size", "7"],
    ],
)
def test_the_peak_is_within_the_estimate(options, tmp_path):
    """In a process of its own: the peak is a process's."""
    config = tf.GPT2Config(n_embd=256, n_layer=3, n_head=8, vocab_size=4000, n_positions=32)
    tf.GPT2LMHeadModel(config).save_pretrained(tmp_path / "model")
    draws = np.random.default_rng(0)
    lines = (
        {"clean_tokens": ids, "corrupted_tokens": [1, *ids[1:]], "answer_position": list(range(8, 20))}
        for ids in draws.integers(4000, size=(60, 20)).tolist()
    )
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = ["discover", tmp_path / "pairs.jsonl", "--model", tmp_path / "model", "--threshold", "0.05"]
    script = "from acdc.cli.main import main; main()"
    subprocess.run(
        [sys.executable, "-c", script, *command, "--out", tmp_path / "run", *options], check=True, capture_output=True
    )
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["peak_memory_bytes"] < record["estimated_memory_bytes"] < 4 * record["peak_memory_bytes"]


@pytest.mark.parametrize("size", [0, -3, "few", "1.5", 2.7, True, None])
def test_a_batch_size_that_is_none_is_refused(model, size):
    with pytest.raises(SettingsError, match="the batch size must be at least 1 prompt, or auto, not "):
        acdc.discover(model, "ioi", batch_size=size)


def test_free_memory_is_read_from_the_system_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("acdc.machine._MEMORY_INFO", tmp_path / "meminfo")
    monkeypatch.setattr("acdc.machine._LIMIT", tmp_path / "memory.max")
    assert memory.available_memory(torch.device("cpu")) is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:  3 kB\n")
    assert memory.available_memory(torch.device("cpu")) == 3 * 1024


@pytest.mark.parametrize(("limit", "free"), [("max", 3072), ("1000", 350), ("100", 0), ("1000000", 3072), ("", 3072)])
def test_a_container_has_the_memory_of_its_limit_and_its_cache_gives_way(tmp_path, monkeypatch, limit, free):
    for name, file, held in (
        ("_MEMORY_INFO", "meminfo", "MemAvailable:  3 kB\n"),
        ("_LIMIT", "memory.max", limit),
        ("_TAKEN", "memory.current", "700\n"),
        ("_TAKEN_BY", "memory.stat", "anon 600\ninactive_file 50\n"),
    ):
        (tmp_path / file).write_text(held)
        monkeypatch.setattr(f"acdc.machine.{name}", tmp_path / file)
    assert memory.available_memory(torch.device("cpu")) == free


def test_free_memory_of_a_gpu_is_asked_of_it(monkeypatch):
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 9))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 3)
    assert (memory.available_memory(gpu), memory.held_memory(gpu)) == (5, 3)


@pytest.mark.random_models  # of a handful of prompts, some are answered as well when corrupted
def test_the_noise_of_the_run_itself_counts(model, monkeypatch):
    exact = acdc.discover(model, "ioi", threshold=5.0, n=4, progress=False)
    assert exact.record.noise_floor < 1e-4
    of_cache = FastEngine.metric
    monkeypatch.setattr(FastEngine, "metric", lambda self: of_cache(self) + 0.5)
    drifted = acdc.discover(model, "ioi", threshold=5.0, n=4, progress=False)
    assert drifted.record.noise_floor == pytest.approx(0.5, abs=1e-4)

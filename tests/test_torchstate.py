"""Whatever torch is set to around a call, the numbers are the same, and it is set so afterwards."""

import contextlib
import random

import numpy as np
import pytest
import torch
from tiny import gpt2, save_toy, write_pairs

from acdc import discover, find_task, load_model, prompts, set_up
from acdc.engine import circuits
from acdc.engine.setting import prepare
from acdc.methods import Acdc, EapIg
from acdc.metrics import METRICS
from acdc.models.torchstate import own_torch_state

pytestmark = [pytest.mark.random_models, pytest.mark.drawn]


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextlib.contextmanager
def matmul_precision(precision):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


AROUND = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta": lambda: default_device("meta"),
    "in meta": lambda: torch.device("meta"),
    "short products": lambda: matmul_precision("medium"),
}


def settings():
    """What torch is set to."""
    return (
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_float32_matmul_precision(),
    )


@pytest.fixture(params=AROUND)
def around(request):
    return AROUND[request.param]


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("task") / "pairs.jsonl")


def numbers(model, task):
    run = discover(model, task, n=2, threshold=0.05, order="attribution", progress=False)
    return run.decisions, run.record.results, run.record.hashes


@pytest.fixture(scope="module")
def expected(gpt2_folder, task):
    return numbers(gpt2_folder, task)


def test_a_run_is_the_same_inside(gpt2_folder, task, expected, around):
    with around():
        before = settings()
        found = numbers(gpt2_folder, task)
        assert settings() == before
    assert found == expected


def made_and_asked(model, drawn, how):
    """What single steps give, each of which a caller may take for himself."""
    setting = prepare(model, drawn) if how == "prepare" else set_up(model, drawn)
    masks = np.random.default_rng(0).random((5, setting.graph.n_edges)) < 0.7
    logits = [one.tolist() for one in circuits.run(setting, masks)]
    scores = [method.find(setting, METRICS["kl"]).scores.tolist() for method in (EapIg(2), Acdc(threshold=0.05))]
    return setting, logits, scores


@pytest.mark.parametrize("how", ["prepare", "set_up"])
def test_steps_taken_alone_are_the_same_inside(gpt2_model, task, around, how):
    drawn = prompts(gpt2_model, find_task(task), n=2)
    _, *expected = made_and_asked(gpt2_model, drawn, how)
    with around():
        setting, *found = made_and_asked(gpt2_model, drawn, how)
    assert found == expected
    assert EapIg(2).find(setting, METRICS["kl"]).scores.tolist() == expected[1][0]


@pytest.mark.parametrize("made", ["outside", "inside"])
def test_what_was_set_up_in_inference_mode_has_gradients_outside(gpt2_model, task, made):
    with torch.inference_mode():
        setting = prepare(gpt2_model, prompts(gpt2_model, task, n=2))
        shares = torch.full((setting.graph.n_edges,), 0.5)
        given = circuits.run(setting, [shares])
    if made == "outside":
        shares = torch.full((setting.graph.n_edges,), 0.5, requires_grad=True)
        given = circuits.run(setting, [shares])
    (logits,) = given
    assert not logits.is_inference()
    if made == "outside":
        logits.sum().backward()
        assert shares.grad.abs().sum() > 0


def test_random_circuits_of_a_generator_are_drawn_on(gpt2_model, task, monkeypatch):
    """Its draws are the caller's: torch's random numbers aren't set back between them."""
    monkeypatch.setattr(circuits, "_MOST", 2)
    setting = prepare(gpt2_model, prompts(gpt2_model, task, n=2))
    drawn = []

    def masks():
        for _ in range(6):
            drawn.append(torch.rand(setting.graph.n_edges) < 0.5)
            yield drawn[-1]

    list(circuits.run(setting, masks()))
    assert len({one.numpy().tobytes() for one in drawn}) == 6


@pytest.mark.parametrize("kind", ["toy", "in memory", "made inside"])
def test_every_way_of_opening_works_inside(around, kind, tmp_path):
    if kind == "made inside" and around in (AROUND["meta"], AROUND["in meta"], AROUND["float64"], AROUND["bfloat16"]):
        pytest.skip("a model made there is another model")
    folder, own = save_toy(tmp_path), gpt2()
    expected = load_model(folder if kind == "toy" else own).sha256
    with around():
        model = {"toy": lambda: folder, "in memory": lambda: own, "made inside": gpt2}[kind]()
        opened = load_model(model)
    assert opened.sha256 == expected
    assert not any(tensor.is_inference() for tensor in opened.bridge.parameters())


def test_an_error_leaves_the_settings_as_they_were(tmp_path, around):
    with around():
        before = settings()
        with contextlib.suppress(Exception):
            load_model(tmp_path)
        assert settings() == before


def test_random_numbers_go_on_as_if_nothing_was_drawn(gpt2_folder, task, tmp_path):
    def drawn():
        return random.random(), np.random.random(), torch.rand(1).item()

    def seeded():
        random.seed(3), np.random.seed(3), torch.manual_seed(3)

    folder = save_toy(tmp_path)
    seeded()
    expected = drawn()
    for work in (lambda: load_model(gpt2_folder), lambda: load_model(folder), lambda: numbers(gpt2_folder, task)):
        seeded()
        work()
        assert drawn() == expected


def test_precision_set_by_the_newer_interface_is_kept():
    matmul = torch.backends.mkldnn.matmul
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("torch without it")
    before = matmul.fp32_precision
    try:
        matmul.fp32_precision = "bf16"
        with own_torch_state():
            assert matmul.fp32_precision == "ieee"
        assert matmul.fp32_precision == "bf16"
    finally:
        matmul.fp32_precision = before

"""Whatever torch is set to around a call, the numbers are the same, and it is set so afterwards."""

import contextlib
import random

import numpy as np
import pytest
import torch
from tiny import gpt2, save_toy, write_pairs

from acdc import discover, load_model
from acdc.models.torchstate import own_torch_state

pytestmark = pytest.mark.random_models


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

"""Every test runs offline, on one thread, and can't reach the network by mistake."""

import os
import signal
import socket

# Before torch and huggingface_hub are imported, which read them once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from tensor_shapes import check_shapes

if os.environ.get("ACDC_SHAPES") != "no":  # as for cases by the hundred in scripts/test
    check_shapes()  # before acdc's modules are imported

#: What acdc warns of where a model does its task badly, as random models do.
OF_RANDOM_MODELS = (
    "the model is right on",
    "the model is as often right",
    "the model's likeliest token is",
    r"on \d+% of the predictions no right answer",
    r"in \d+ of \d+ prompt pairs? the corrupted prompt makes",
    "ablating every edge costs",
    r".* they are off by \d+% of it",
)


def pytest_configure(config):
    config.addinivalue_line("markers", "random_models: its models do no task well, and acdc may say so.")
    config.addinivalue_line("markers", "long: takes long, and others try most of it: scripts/test -m long runs it.")
    config.addinivalue_line("markers", "drawn: many cases, which scripts/test runs without checks of shapes.")


def pytest_collection_modifyitems(items):
    """Warnings are errors; what is allowed all the same is said by a mark's name."""
    for item in items:
        if item.get_closest_marker("random_models"):
            for said in OF_RANDOM_MODELS:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{said}:acdc.AcdcWarning"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    connect = socket.socket.connect

    def refuse(self, address):
        if isinstance(address, tuple):  # to a host; between processes it's a path
            raise AssertionError(f"a test tried to connect to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory):
    """A tiny GPT-2 with a tokenizer, as a folder that no test changes."""
    from tiny import save_gpt2

    return save_gpt2(tmp_path_factory.mktemp("models") / "gpt2", with_tokenizer=True)


@pytest.fixture(scope="session")
def gpt2_model(gpt2_folder):
    """The same, opened."""
    from acdc import load_model

    return load_model(gpt2_folder)

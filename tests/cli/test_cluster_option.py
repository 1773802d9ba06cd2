"""``--cluster`` of a run: what isn't one, and what can't be split."""

import socket

import pytest
from tiny import pairs


@pytest.fixture
def discover(refused, file, gpt2_folder):
    """A run that must fail."""
    return lambda *options: refused("discover", file(*pairs()), "--model", gpt2_folder, *options)


@pytest.mark.parametrize("given", ["rays", "http://head:1", "ray://", "ray://head:0"])
def test_what_is_no_cluster_is_said(discover, given):
    said = discover("--cluster", given)
    assert "--cluster" in said
    assert given in said


def test_a_method_whose_prompts_cant_be_split(discover):
    said = discover("--cluster", "ray", "--method", "eap-ig", "--top", 5)
    assert said == (
        "--cluster splits the prompts of methods that try edges (acdc, hybrid and patching), and eap-ig is none; leave "
        "it out."
    )
    assert "leave out --cluster" in discover("--cluster", "ray", "--freeze", "norms")


def test_a_cluster_that_doesnt_answer_is_said_before_the_model_is_opened(discover, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # another test's cluster may be up in this process
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert f"no Ray cluster answers at ray://127.0.0.1:{port}" in discover("--cluster", f"ray://127.0.0.1:{port}")

"""MLPs as weights and activation."""

import pytest
import torch
import transformers as tf
from tiny import gpt2

import acdc


@pytest.mark.parametrize("activation", ["gelu_new", "gelu", "relu", "silu", "gelu_pytorch_tanh"])
def test_the_activation_that_is_read_is_the_models(activation):
    model = acdc.load_model(gpt2(activation_function=activation), dtype="float64")
    x = 3 * torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = model.plain_mlp(1)
    assert torch.allclose(plain(x[0].clone()), model.mlp(1, x)[0], atol=1e-12)


def test_wide_inputs_and_many_rows_are_activated_alike():
    """The tanh GELU runs in blocks of rows; the last one is shorter."""
    model = acdc.load_model(gpt2(n_inner=5000), dtype="float64")
    x = torch.randn(1, 131, 16, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert torch.allclose(model.plain_mlp(0)(10 * x[0]), model.mlp(0, 10 * x)[0], atol=1e-10)


def test_an_activation_that_is_none_of_them_runs_through_its_own_module():
    assert acdc.load_model(gpt2(activation_function="quick_gelu")).plain_mlp(0) is None


def test_a_mixture_of_experts_is_no_plain_mlp():
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = tf.MixtralConfig(**shape, intermediate_size=24, vocab_size=40, num_local_experts=2)
    assert acdc.load_model(tf.MixtralForCausalLM(config).eval()).plain_mlp(0) is None

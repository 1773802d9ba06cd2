"""A tensor of another shape than a signature says is found where it is handed over, in tests and only there."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from jaxtyping import TypeCheckError
from tensor_shapes import SHAPED
from tiny import pairs, write_pairs

from acdc import find_task
from acdc.engine.setting import prepare
from acdc.metrics import METRICS, AnswerTokens
from acdc.models.norms import Norm
from acdc.models.tokens import Tokens


@pytest.fixture
def setting(gpt2_model, tmp_path):
    return prepare(gpt2_model, find_task(write_pairs(tmp_path / "pairs.jsonl", pairs(2))).prompts(None))


def test_of_a_head(gpt2_model):
    tokens, x = Tokens.of([(1, 2, 3)]), torch.zeros(1, 3, 16)
    attention, table = gpt2_model.attention[0], gpt2_model.table(0, tokens)
    attention.head(0, x, x, x, table, tokens.filled)
    for bad in (x[0], x[:, :2], x.long(), x[..., :8]):
        with pytest.raises(TypeCheckError, match="k_in"):
            attention.head(0, x, bad, x, table, tokens.filled)


def test_of_a_layer_s_heads(gpt2_model):
    tokens, x = Tokens.of([(1, 2, 3)]), torch.zeros(2, 1, 3, 16)
    with pytest.raises(TypeCheckError, match="'v'"):
        gpt2_model.heads(0, x, x, x.transpose(1, 2), tokens)


def test_of_a_setting(setting):
    with pytest.raises(TypeCheckError, match="residual"):
        setting.predictions(setting.contributions.clean_residual[0], slice(0, 1))
    with pytest.raises(TypeCheckError, match="columns"):
        replace(setting, columns=setting.columns[:1])


@pytest.mark.parametrize("name", METRICS)
def test_of_a_metric(name):
    metric = METRICS[name]
    logits, answers = torch.zeros(3, 5), AnswerTokens(*torch.ones(2, 3, 1, dtype=torch.long))
    assert metric.per_prediction(logits, logits, answers).shape == (3,)
    for circuit, model in ((logits[0], logits), (logits, logits[:2]), (logits, logits[:, :4])):
        with pytest.raises(TypeCheckError):
            metric.per_prediction(circuit, model, answers)


def test_of_records():
    with pytest.raises(TypeCheckError, match="bias"):
        Norm("layer", torch.ones(4), torch.ones(5))
    with pytest.raises(TypeCheckError, match="wrong"):
        AnswerTokens(torch.ones(3, 1, dtype=torch.long), torch.ones(2, 1, dtype=torch.long))
    with pytest.raises(TypeCheckError, match="ids"):
        Tokens(torch.ones(3, dtype=torch.long), (3,))


def test_users_pay_nothing():
    script = f"""
import sys
from importlib import import_module
for name in {SHAPED}:
    import_module(name)
assert "beartype" not in sys.modules
import torch
from acdc.models.norms import Norm
Norm("layer", torch.ones(4), torch.ones(5))
"""
    subprocess.run([sys.executable, "-c", script], check=True)

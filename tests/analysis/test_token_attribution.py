"""Token attribution against the model's own logits on prompts with one token exchanged."""

import numpy as np
import pytest
import torch
from hooked import answered, model_of

import acdc
from acdc.analysis.tokens import token_attribution
from acdc.engine.setting import prepare
from acdc.errors import UnknownNameError
from acdc.pairs import PromptSet, TokenPair


@torch.no_grad()
def difference(model, pair, ids):
    """Mean over a pair's answer positions of the best right minus the best wrong logit, by the model itself."""
    logits = model(torch.tensor([ids])).logits[0].double()
    return np.mean(
        [
            max(float(logits[at, token]) for token in right) - max(float(logits[at, token]) for token in wrong)
            for at, right, wrong in zip(pair.answer_positions, pair.answers, pair.wrong_answers, strict=True)
        ]
    )


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel", "gemma2"])
def test_exact_effects_are_those_of_a_prompt_with_that_token_exchanged(family):
    theirs, pairs = model_of(family), answered()
    model = acdc.load_model(theirs)
    found, by_ones = (token_attribution(prepare(model, pairs, batch_size=size)) for size in (None, 1))
    assert found.metric == "logit-diff"
    for row, pair in enumerate(pairs.pairs):
        clean, corrupted = (difference(theirs, pair, ids) for ids in (pair.clean, pair.corrupted))
        assert found.whole[row] == pytest.approx(clean - corrupted, abs=3e-6)
        for at in range(len(pair.clean)):
            noised = (*pair.clean[:at], pair.corrupted[at], *pair.clean[at + 1 :])
            denoised = (*pair.corrupted[:at], pair.clean[at], *pair.corrupted[at + 1 :])
            assert found.noising[row, at] == pytest.approx(clean - difference(theirs, pair, noised), abs=3e-6)
            assert found.denoising[row, at] == pytest.approx(difference(theirs, pair, denoised) - corrupted, abs=3e-6)
        assert np.isnan(found.noising[row, len(pair.clean) :]).all()
    assert np.nanmax(np.abs(found.noising)) > 0.1
    for kind in ("noising", "noising_gradient", "denoising", "denoising_gradient", "whole"):
        np.testing.assert_allclose(getattr(found, kind), getattr(by_ones, kind), rtol=0, atol=1e-9)


def test_by_gradient_it_is_the_derivative_at_the_run_that_is_changed():
    """A small step from one embedding towards the other, with Hugging Face's `inputs_embeds`."""
    theirs, pairs = model_of("gpt2"), answered()
    found = token_attribution(prepare(acdc.load_model(theirs), pairs))
    embed = theirs.get_input_embeddings()
    for row, pair in enumerate(pairs.pairs):

        def worse(embedded, pair=pair):
            logits = theirs(inputs_embeds=embedded[None]).logits[0]
            values = []
            for at, right, wrong in zip(pair.answer_positions, pair.answers, pair.wrong_answers, strict=True):
                values.append(logits[at, list(wrong)].max() - logits[at, list(right)].max())
            return torch.stack(values).mean()

        ends = [embed(torch.tensor(ids)).detach() for ids in (pair.clean, pair.corrupted)]
        change = ends[1] - ends[0]
        for start, got in zip(ends, (found.noising_gradient, found.denoising_gradient), strict=True):
            start.requires_grad_()
            (gradient,) = torch.autograd.grad(worse(start), start)
            np.testing.assert_allclose(got[row, : len(change)], (change * gradient).sum(-1), rtol=0, atol=1e-9)


def test_metrics_by_what_the_pairs_name_and_tokens_that_are_the_same():
    model = acdc.load_model(model_of("gpt2"))
    same = TokenPair((1, 2, 3, 4), (1, 9, 3, 4), (3,))  # but for one token
    found = token_attribution(prepare(model, PromptSet((same,), "bare")))
    assert found.metric == "kl"
    assert found.noising[0, [0, 2, 3]].tolist() == [0, 0, 0]
    assert found.noising[0, 1] == pytest.approx(found.whole[0])  # the only difference is the whole one
    assert found.denoising[0, 1] == pytest.approx(found.whole[0])
    assert [row[:4] for row in found.table().rows] == [(0, 1, "2", "9")]
    twice = PromptSet((TokenPair((5, 6, 7), (5, 6, 7), (2,)), same), "one pair of equal prompts")
    for size in (1, 2):
        beside = token_attribution(prepare(model, twice, batch_size=size))
        assert beside.whole[0] == pytest.approx(0, abs=1e-12)
        np.testing.assert_allclose(beside.noising[1], found.noising[0], rtol=0, atol=1e-12)
    right = TokenPair(same.clean, same.corrupted, (3,), ((5,),))
    assert token_attribution(prepare(model, PromptSet((right,), "right"))).metric == "answer-logprob"
    with pytest.raises(UnknownNameError, match="logit-diff"):
        token_attribution(prepare(model, answered()), metric="logit-dif")
    with pytest.raises(acdc.AcdcError, match="needs right and wrong answers"):
        token_attribution(prepare(model, PromptSet((right,), "right")), metric="logit-diff")


def test_its_picture(tmp_path):
    found = token_attribution(prepare(acdc.load_model(model_of("gpt2")), answered()))
    assert "noising, logit-diff" in found.draw(tmp_path / "tokens.svg").read_text()

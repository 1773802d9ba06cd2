"""What is said before the first decision: how prompts begin, what the answers are, what the model would say."""

import made_tokenizers as made
import pytest
import torch
from given import Given
from tiny import gpt2

import acdc
from acdc.pairs import PromptPair

TEXT = [
    PromptPair("So Mary gave a ring to", "So John gave a ring to", ((" Peter",),), ((" Paul",),), where="line 1"),
    PromptPair("So John gave a ring to", "So Mary gave a ring to", ((" Paul",),), ((" Peter",),), where="line 2"),
    PromptPair("So Paul gave a ring to", "So Mary gave a ring to", ((" Peter",),), ((" John",),), where="line 3"),
    PromptPair("So Mark gave a ring to", "So Mary gave a ring to", ((" Mary",),), ((" John",),), where="line 4"),
]


@pytest.fixture(scope="module")
def model():
    tokenizer = made.gpt2_like()
    return acdc.load_model(gpt2(vocab_size=len(tokenizer)), tokenizer=tokenizer)


def introduced(model, *pairs, **options):
    """The lines that are announced, and the warnings."""
    said = []
    with pytest.warns(acdc.AcdcWarning) as caught:
        acdc.discover(
            model, Given(*pairs), n=len(pairs), threshold=1e6, progress=False, announce=said.append, **options
        )
    return said, [str(warning.message) for warning in caught]


def test_the_beginning_and_the_first_pair_are_said(model):
    said, _ = introduced(model, *TEXT)
    assert "mine: 4 prompt pairs, lined up token by token" in said
    how = '(`bos="yes"` as EAP-IG, MIB and AutoCircuit do)'
    assert f"prompts begin without a BOS; the tokenizer has '<|endoftext|>' {how}" in said
    assert "the first prompt ends in 'So Mary gave a ring to', right ' Peter', wrong ' Paul'" in said
    said, _ = introduced(model, *TEXT, bos="yes")
    assert "prompts begin with '<|endoftext|>'" in said


def test_token_ids_are_shown_as_text(model):
    ids = [tuple(model.tokenizer.encode(text)) for text in ("So Mary gave a ring to", "So John gave a ring to")]
    said, _ = introduced(model, PromptPair(*ids, ((300,),), ((301, 302, 303, 304),)))
    right, *wrong = (repr(model.tokenizer.decode([token])) for token in (300, 301, 302, 303))
    shown = f"right {right}, wrong {' or '.join(wrong)} and 1 more"
    assert f"the first prompt ends in 'So Mary gave a ring to', {shown}" in said
    assert "mine: 1 prompt pair, equal length, not judged word by word" in said


def test_without_a_tokenizer_ids_are_shown():
    said, _ = introduced(acdc.load_model(gpt2()), PromptPair((1, 2), (3, 2), ((5,),), ((6,),)))
    assert "the first prompt ends in [1, 2], right 5, wrong 6" in said
    assert not any("begin" in line for line in said)


def test_the_likeliest_tokens_that_are_no_answers_are_shown(model):
    said, warnings = introduced(model, *TEXT)
    (low,) = (warning for warning in warnings if "likeliest token is a right answer" in warning)
    assert "on 0% of the predictions only" in low
    assert low.count("likeliest '") + low.count('likeliest "') == 3
    assert "answer ' Peter'" in low
    assert any("likeliest token right on 0.0%" in line for line in said)


def test_answers_that_are_never_likely_are_warned_of(model):
    clean, corrupted = TEXT[0].clean, TEXT[0].corrupted
    likeliest, *_, last = model.bridge(torch.tensor([model.tokenizer.encode(clean)]))[0, -1].argsort(descending=True)
    far = "no right answer is among the model's 100 likeliest tokens"
    found = introduced(model, PromptPair(clean, corrupted, ((int(last),),)))[1]
    assert any(far in text for text in found)
    # Some warning there is in any case: the threshold lets nothing stay.
    found = introduced(model, PromptPair(clean, corrupted, ((int(likeliest),),)))[1]
    assert not any("likeliest" in text for text in found)


def test_the_tokenizer_of_a_run_is_asked_for_its_bos(model):
    bare = acdc.load_model(gpt2(vocab_size=len(model.tokenizer)), tokenizer=made.gpt2_like(bos_token=None))
    with pytest.raises(acdc.AcdcError, match="but the tokenizer has none"):
        acdc.discover(bare, Given(*TEXT), bos="yes", progress=False)


def test_misaligned_pairs_on_request(model):
    moved = PromptPair("So kettle and John met", "So John and kettle met", where="line 7")
    with pytest.raises(acdc.AcdcError, match=r"line 7: .* don't line up"):
        acdc.discover(model, Given(*TEXT, moved), n=5, progress=False)
    options = {"allow_misaligned": True}
    bare = [PromptPair(pair.clean, pair.corrupted) for pair in TEXT]
    said, warnings = introduced(model, *bare, moved, **options)
    assert "mine: 5 prompt pairs, 4 lined up token by token, 1 not lined up" in said
    assert any("in 1 of 5 prompt pairs clean and corrupted words don't stand at the same" in text for text in warnings)

"""BOS, EOS and a chat's marks: seen, said and controlled."""

import made_tokenizers as made
import pytest
from given import Given, warned
from tokenizers import processors

from acdc.errors import PromptError, SettingsError, UnknownNameError
from acdc.pairs import PromptPair, tokenize_pair
from acdc.pairs.bos import beginnings_in_words

PAIR = PromptPair("So Mary is", "So John is", where="here")
IDS = PromptPair((5, 6, 7), (5, 8, 7), where="here")


@pytest.fixture(scope="module")
def gpt2():
    return made.gpt2_like()


@pytest.fixture(scope="module")
def llama():
    return made.llama3()


@pytest.fixture(scope="module")
def smollm():
    return made.smollm2()


def begins(tokenizer, pair=PAIR, **options):
    """The first two tokens of both prompts."""
    checked = tokenize_pair(pair, tokenizer, **options)
    return [tokenizer.convert_ids_to_tokens(list(ids[:2])) for ids in (checked.clean, checked.corrupted)]


def test_bos_is_as_the_tokenizer_does_or_as_asked_for(gpt2, llama):
    end, begin = "<|endoftext|>", "<|begin_of_text|>"
    assert begins(gpt2)[0] == begins(gpt2, bos="no")[0] == ["So", "ĠMary"]
    assert begins(gpt2, bos="yes") == [[end, "So"], [end, "So"]]
    assert begins(llama)[0] == begins(llama, bos="yes")[0] == [begin, "So"]
    assert begins(llama, bos="no")[0] == ["So", "ĠMary"]
    for bos in ("auto", "no"):
        assert tokenize_pair(IDS, llama, bos=bos).clean == (5, 6, 7)
    assert tokenize_pair(IDS, llama, bos="yes").clean == (llama.bos_token_id, 5, 6, 7)


def test_a_prompt_that_carries_a_bos_gets_no_other(gpt2):
    text = PromptPair("<|endoftext|>So Mary is", "<|endoftext|>So John is")
    ids = PromptPair((0, 6, 7), (0, 8, 7))
    for bos in ("auto", "yes", "no"):
        assert begins(gpt2, text, bos=bos)[0] == ["<|endoftext|>", "So"]
        assert tokenize_pair(ids, gpt2, bos=bos).clean == (0, 6, 7)


def test_two_bos_are_refused_with_the_way_out(gpt2, llama):
    text = PromptPair("<|begin_of_text|>So Mary", "<|begin_of_text|>So John", where="here")
    with pytest.raises(PromptError, match=r"^here: the prompt begins with '<\|begin_of_text\|>' already.*`bos=\"no\"`"):
        tokenize_pair(text, llama)
    for bos in ("no", "yes"):
        assert begins(llama, text, bos=bos)[0] == ["<|begin_of_text|>", "So"]
    for pair in (
        PromptPair("<|endoftext|><|endoftext|>So", "<|endoftext|><|endoftext|>That"),
        PromptPair((0, 0, 5), (0, 0, 6)),
    ):
        for bos in ("auto", "yes", "no"):
            with pytest.raises(PromptError, match=r"begins with two '<\|endoftext\|>'; take one out"):
                tokenize_pair(pair, gpt2, bos=bos)


def test_a_tokenizer_that_puts_two_bos_is_refused_with_the_way_out():
    tokenizer = made.llama3()
    begin = ("<|begin_of_text|>", tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin[0]} {begin[0]} $A", special_tokens=[begin]
    )
    with pytest.raises(PromptError, match=r"the tokenizer puts 2 '<\|begin_of_text\|>' before every.*`bos=\"yes\"`"):
        tokenize_pair(PAIR, tokenizer)
    assert begins(tokenizer, bos="yes")[0] == [begin[0], "So"]
    assert begins(tokenizer, bos="no")[0] == ["So", "ĠMary"]


def test_positions_are_counted_as_without_the_option_and_move_along(gpt2, llama):
    pair = PromptPair("So Mary is", "So John is", ((" a",), (" she",)), ((" the",), (" he",)), answer_positions=(1, -1))
    plain, more = (tokenize_pair(pair, gpt2, bos=bos) for bos in ("auto", "yes"))
    assert (plain.answer_positions, more.answer_positions) == ((1, 2), (2, 3))
    assert (plain.answers, plain.wrong_answers) == (more.answers, more.wrong_answers)
    plain, fewer = (tokenize_pair(pair, llama, bos=bos) for bos in ("auto", "no"))
    assert (plain.answer_positions, fewer.answer_positions) == ((1, 3), (0, 2))
    assert plain.clean[1] == fewer.clean[0]
    assert tokenize_pair(PromptPair((5, 6), (5, 7), answer_positions=(0,)), gpt2, bos="yes").answer_positions == (1,)
    for position in (0, -4):
        first = PromptPair("So Mary is", "So John is", answer_positions=(position,))
        assert tokenize_pair(first, llama).answer_positions == (0,)
        with pytest.raises(PromptError, match=r"position .* is a token that the tokenizer adds, and `bos=\"no\"`"):
            tokenize_pair(first, llama, bos="no")
    with pytest.raises(PromptError, match="answer position 3 is outside the prompt, which has tokens 0 to 2"):
        tokenize_pair(PromptPair("So Mary is", "So John is", answer_positions=(3,)), gpt2, bos="yes")


def test_the_bos_counts_for_the_context(gpt2):
    assert tokenize_pair(PAIR, gpt2, max_length=3)
    with pytest.raises(PromptError, match="4 tokens are more than the model's context of 3"):
        tokenize_pair(PAIR, gpt2, max_length=3, bos="yes")


def test_a_bos_that_can_not_be_had():
    bare = made.gpt2_like(bos_token=None)
    with pytest.raises(SettingsError, match="but the tokenizer has none"):
        tokenize_pair(PAIR, bare, bos="yes")
    with pytest.raises(SettingsError, match="but there is no tokenizer that names one"):
        tokenize_pair(IDS, None, bos="yes")
    with pytest.raises(UnknownNameError, match="unknown bos 'ye': did you mean yes"):
        tokenize_pair(PAIR, bare, bos="ye")
    with pytest.raises(SettingsError, match="`bos` must be auto, yes or no, not True"):
        tokenize_pair(PAIR, bare, bos=True)


@pytest.mark.parametrize("bos", ["auto", "yes", "no"])
def test_what_the_tokenizer_puts_after_a_prompt_is_left_out_and_said(bos):
    tokenizer = made.gpt2_like(after="<eot>", eos_token="<eot>")
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("So Mary"))[-1] == "<eot>"
    pair = PromptPair("So Mary is", "So John is", ((" she",),), ((" he",),))
    assert warned(tokenizer, pair, bos=bos) == [
        "mine: the tokenizer puts '<eot>' after every prompt, where no answer follows; the prompts are used without it."
    ]
    plain = tokenize_pair(pair, made.gpt2_like(), bos=bos)
    assert tokenize_pair(pair, tokenizer, bos=bos) == plain


def test_an_answer_that_is_read_after_an_end_is_warned_of(gpt2):
    for pair in (
        PromptPair("So Mary is<|endoftext|>", "So John is<|endoftext|>", where="here"),
        PromptPair((5, 6, 0), (5, 7, 0), where="here"),
        PromptPair((5, 0, 6), (7, 0, 6), answer_positions=(1,), where="here"),
    ):
        assert warned(gpt2, pair) == [
            "mine: in 1 of 1 prompt pair the answer is read after a special token that ends a text "
            "(here: '<|endoftext|>'); end the prompts before it."
        ]


def test_marks_inside_prompts_are_warned_of(gpt2):
    inside = PromptPair("So<|endoftext|> Mary is", "So<|endoftext|> John is", where="here")
    (said,) = warned(gpt2, PAIR, inside)
    assert "in 1 of 2 prompt pairs a special token that begins or ends whole texts stands inside a prompt (" in said


def test_prompts_that_begin_in_different_ways_are_warned_of(gpt2):
    marked = PromptPair((0, 5), (0, 6), where="here")
    (said,) = warned(gpt2, IDS, marked)
    assert "in 1 of 2 prompt pairs the prompt begins with a special token, and the first one doesn't (" in said
    (said,) = warned(gpt2, PromptPair((0, 5, 6), (7, 5, 6), where="here"))
    assert "clean and corrupted don't begin with the same special token (here)" in said
    # As GPT-2's own tokenizer has it.
    (said,) = warned(made.gpt2_like(unk_token="<|endoftext|>"), PromptPair((0, 5, 6), (7, 5, 6), where="here"))
    assert "clean and corrupted don't begin with the same special token (here)" in said


def test_an_answer_after_a_turn_is_warned_of_though_no_name_says_so():
    tokenizer = made.gpt2_like()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|eot_id|>", "<|assistant|>"]})
    (said,) = warned(tokenizer, PromptPair("So Mary is<|eot_id|>", "So John is<|eot_id|>", where="here"))
    assert "the answer is read after a special token that ends a text (here: '<|eot_id|>')" in said
    assert warned(tokenizer, PromptPair("So Mary<|eot_id|><|assistant|>", "So John<|eot_id|><|assistant|>")) == []


def test_a_chats_own_marks_are_said_and_no_others(gpt2, smollm):
    chat = PromptPair(
        "<|im_start|>user\nSo Mary<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>user\nSo John<|im_end|>\n<|im_start|>assistant\n",
    )
    for bos in ("auto", "yes", "no"):
        assert warned(smollm, chat, bos=bos) == []
        assert begins(smollm, chat, bos=bos)[0][0] == "<|im_start|>"
    said = beginnings_in_words(Given(chat).prompts(smollm).pairs, smollm)
    assert said == "prompts begin with '<|im_start|>'; special tokens inside: '<|im_start|>', '<|im_end|>'"
    (said,) = warned(gpt2, chat)
    assert "what looks like a special token or a chat template's mark is ordinary text to this tokenizer" in said


@pytest.mark.parametrize(
    "mark",
    [
        "[INST]",
        "<<SYS>>",
        "<start_of_turn>",
        "<|user|>",
        "<|eot_id|>",
        "<s>",
        "<bos>",
        "[SEP]",
        "<predict>",
        "<\uff5cUser\uff5c>",
    ],
)
def test_another_tokenizers_marks_are_warned_of(gpt2, mark):
    (said,) = warned(gpt2, PromptPair(f"So{mark} Mary", f"So{mark} John", where="here"))
    assert f"(here: {mark!r})" in said


def test_marks_that_the_chat_template_spells_as_text_are_its_own(gpt2):
    tokenizer = made.gpt2_like()
    tokenizer.chat_template = "[INST] {{ messages[0]['content'] }} [/INST]"
    assert warned(tokenizer, PromptPair("[INST] So Mary [/INST]", "[INST] So John [/INST]")) == []


def test_text_that_the_tokenizer_does_not_know_is_warned_of():
    (said,) = warned(made.llama2(), PromptPair("So ж Mary", "So ж John", where="here"))
    assert "2 prompts of 2 hold text that the tokenizer doesn't know and replaces by '<unk>' (here: " in said


def test_the_beginning_is_said(gpt2, llama):
    def said(tokenizer, **options):
        return beginnings_in_words(Given(PAIR).prompts(tokenizer, **options).pairs, tokenizer)

    assert said(llama) == "prompts begin with '<|begin_of_text|>'"
    without = "prompts begin without a BOS; the tokenizer has "
    how = '(`bos="yes"` as EAP-IG, MIB and AutoCircuit do)'
    assert said(gpt2) == f"{without}'<|endoftext|>' {how}"
    assert said(llama, bos="no") == f"{without}'<|begin_of_text|>' {how}"
    assert said(gpt2, bos="yes") == "prompts begin with '<|endoftext|>'"
    own = made.gpt2_like(unk_token="<|endoftext|>")  # as GPT-2's own tokenizer has it
    assert said(own, bos="yes") == "prompts begin with '<|endoftext|>'"
    assert said(made.gpt2_like(bos_token=None, eos_token=None)) == f"{without}none"

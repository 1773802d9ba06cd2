"""Tokenizers as Llama 2, Llama 3 and SmolLM2 have them, small, with the words of the bundled tasks."""

import string

import transformers as tf
from acdc.tasks import nouns
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from wordlists import words_of

from acdc.bundled import bundled_models

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _task_words():
    return sorted(
        (words_of("ioi") | words_of("pronouns") | {"So", "That", "person", "friend", "she", "he", "they", "it"}) - {"x"}
    )


def llama2(scheme="normalizer", words=()):
    """SentencePiece's way: a space is put before every text, and a BOS before that.

    `scheme` says who puts it there: a normalizer, or a pre-tokenizer ("first" or "always").
    """
    whole = [f"▁{word}" for word in (*_task_words(), *words)]
    rests = [noun[1:] for noun in nouns.NOUNS]
    marks = ["(", ")", ",", ".", "'", ":", "\n", "<", ">", "[", "]", "/", "|", "_"]
    letters = list(string.ascii_letters + string.digits)
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        "▁",
        "▁(",
        *whole,
        *rests,
        *letters,
        *(f"▁{letter}" for letter in letters),
        *marks,
    ]
    scores = {piece: -3.0 if len(piece) == 1 else -1.0 for piece in pieces}
    made = Tokenizer(models.Unigram(list(scores.items()), unk_id=0, byte_fallback=False))
    if scheme == "normalizer":
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme, split=False)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(content=" ", left=1, right=0)]
    )
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tf.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _byte_level():
    return Tokenizer.from_file(str(bundled_models()["tiny-tasks"] / "tokenizer.json"))


def gpt2_like(after=None, **special):
    """Byte-level BPE without a BOS of its own; `after` is put after every text."""
    made = _byte_level()
    if after is not None:
        made.add_special_tokens([after])
        made.post_processor = processors.TemplateProcessing(
            single=f"$A {after}", special_tokens=[(after, made.token_to_id(after))]
        )
    names = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", **special}
    return tf.PreTrainedTokenizerFast(tokenizer_object=made, **names)


def llama3():
    """Byte-level BPE whose words may begin with any one mark, and a BOS before every text."""
    made = _byte_level()
    made.add_special_tokens(["<|begin_of_text|>"])
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_LLAMA3), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bos = ("<|begin_of_text|>", made.token_to_id("<|begin_of_text|>"))
    made.post_processor = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[bos])
    return tf.PreTrainedTokenizerFast(tokenizer_object=made, bos_token=bos[0], eos_token="<|endoftext|>")


def smollm2():
    """Byte-level BPE with every digit for itself; its BOS is a chat's mark, and isn't put before texts."""
    made = _byte_level()
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer = tf.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    )
    return tokenizer


def spelled(tokenizer, ids):
    """The text of tokens, without special ones, every space kept."""
    tokens = tokenizer.convert_ids_to_tokens([i for i in ids if i not in tokenizer.all_special_ids])
    if any("▁" in token for token in tokens) or isinstance(tokenizer.backend_tokenizer.model, models.Unigram):
        return "".join(tokens).replace("▁", " ")
    return "".join(tokens).replace("Ġ", " ").replace("Ċ", "\n")

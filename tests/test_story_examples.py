"""The template files of small stories in docs/examples: they line up, and a model of such stories gets them right."""

import re
import warnings
from pathlib import Path

import made_tokenizers
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from acdc import find_task
from acdc.errors import AcdcWarning

EXAMPLES = sorted((Path(__file__).parents[1] / "docs" / "examples").glob("stories-*.toml"))
STORIES = Path(__file__).parents[2] / "shared" / "models" / "stories260K"
#: The slots that each corruption changes.
CHANGED = {
    "stories-name": {"other-name": {"name"}, "no-name": {"name"}, "other-thing": {"thing"}},
    "stories-possessive": {
        "other-child": {"name", "again", "kind"},
        "other-noun": {"kind"},
        "other-place": {"place"},
    },
    "stories-pronoun": {"other-child": {"name", "again", "kind"}, "other-noun": {"kind"}, "other-thing": {"thing"}},
    "stories-they": {"said": {"joint"}, "with": {"joint"}, "other-place": {"place"}},
    "stories-verb": {"other-verb": {"verb"}, "no-verb": {"verb"}, "other-child": {"name", "again"}},
}


def prompts(example, tokenizer, n, split="train", corruption=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AcdcWarning)
        return find_task(str(example)).prompts(tokenizer, n, split=split, corruption=corruption)


def words_of_examples():
    folder = EXAMPLES[0].parent
    texts = [path.read_text() for path in (*EXAMPLES, *folder.glob("words/stories.toml"))]
    return sorted({word for text in texts for word in re.findall(r"[A-Za-z]+", text)})


@pytest.fixture(scope="module")
def llama():
    return made_tokenizers.llama2(words=words_of_examples())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_files_corrupt_what_they_say(example, llama):
    for corruption, slots in CHANGED[example.stem].items():
        for split in ("train", "test"):
            made = prompts(example, llama, 30, split, corruption).pairs
            assert len({pair.clean for pair in made}) == 30
            changed = set()
            for pair in made:
                places = {place for place, (a, b) in enumerate(zip(pair.clean, pair.corrupted, strict=True)) if a != b}
                spans = {slot: {p for start, end in pair.spans[slot] for p in range(start, end)} for slot in slots}
                assert places
                assert places <= set().union(*spans.values())
                changed |= {slot for slot, span in spans.items() if span & places}
            assert changed == slots


def test_there_is_a_line_for_each_file():
    assert {path.stem for path in EXAMPLES} == set(CHANGED)
    for path in EXAMPLES:
        assert set(find_task(str(path)).corruptions) == set(CHANGED[path.stem])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_model_of_such_stories_is_right(example):
    if not STORIES.is_dir():
        pytest.skip(f"needs the model {STORIES.name}, which isn't part of the project (looked in {STORIES.parent})")
    model = AutoModelForCausalLM.from_pretrained(STORIES).eval()
    right = []
    with torch.no_grad():
        for pair in prompts(example, AutoTokenizer.from_pretrained(STORIES), 40, "test").pairs:
            logits = model(torch.tensor([pair.clean])).logits[0, -1]
            right.append(bool(logits[list(pair.answers[0])].max() > logits[list(pair.wrong_answers[0])].max()))
    assert sum(right) / len(right) >= 0.95

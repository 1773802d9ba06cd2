"""Prompt files that nobody meant well: one sentence, soon, and in little memory."""

import json
import os
import random
import time
from pathlib import Path

import pytest

from acdc.errors import AcdcError
from acdc.pairs.finding import find_task
from acdc.pairs.promptfile import door


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write bytes or text to a file in the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(name, content):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    return write


class Bytes:
    """A tokenizer of single bytes that is as touchy as a real one about ids that don't exist."""

    def encode(self, text, *, add_special_tokens=True):
        return list(text.encode()[:2000])

    def convert_ids_to_tokens(self, ids):
        if any(not 0 <= i < 256 for i in ids):
            raise OverflowError("can't convert to unsigned")
        return [chr(i) for i in ids]


def refused(name, **options):
    with pytest.raises(AcdcError) as caught:
        find_task(name, **options).prompts(Bytes(), vocab_size=256)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 2500
    return said


PAIR = b'{"clean": "a b", "corrupted": "a c"}\n'


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (PAIR.decode().encode("utf-16"), "is UTF-16 text; save it as UTF-8."),
        (PAIR + b"\xe9", "is not UTF-8 text (line 2: "),
        (PAIR + b"a\0b", ", line 2: a NUL byte is no text"),
        (b"", "has no prompt pairs"),
        (b"\xef\xbb\xbf", "has no prompt pairs"),
    ],
)
def test_what_is_no_text_stays_outside(write, name, content, said):
    assert said in refused(write(name, content))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_pipes_and_folders_are_not_waited_for(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo(name)
    assert refused(name) == f"{name} can't be read: it is a pipe, not a file."
    Path(name).unlink()
    Path(name).mkdir()
    assert refused(name) == f"{name} can't be read: it is a folder, not a file."
    Path(name).rmdir()
    Path(name).symlink_to("/dev/zero")
    assert refused(name) == f"{name} can't be read: it is a device, not a file."


def test_a_file_of_a_gigabyte_is_refused_at_once(write, monkeypatch):
    name = write("a.jsonl", PAIR)
    os.truncate(name, 2**30)
    before = time.monotonic()
    assert refused(name) == "a.jsonl is too large: at most 256 MiB of prompt pairs are read; take a part of it."
    assert time.monotonic() - before < 1
    monkeypatch.setattr(door, "MOST_BYTES", 10)
    assert "is too large" in refused(write("b.jsonl", PAIR))


@pytest.mark.parametrize("name", ["a\0.jsonl", "a\ud83d.csv", "\0", "a" * 5000, "a" * 5000 + ".jsonl"])
def test_names_that_are_no_paths(name):
    assert refused(name)


@pytest.mark.parametrize("twice", [False, True])
def test_a_hundred_thousand_fields(write, twice):
    names = [*(f"c{number}" for number in range(100_000)), *(["c99999"] if twice else [])]
    line = '{"clean": "a b", "corrupted": "a c", ' + ", ".join(f'"{name}": 1' for name in names) + "}"
    started = time.monotonic()
    said = refused(write("wide.jsonl", line))
    assert ("the field 'c99999' is given twice" if twice else "100002 fields are more than 1000") in said
    assert "more than 1000" in refused(write("wide.csv", f"clean,corrupted,{','.join(names)}\na b,a c\n"))
    assert time.monotonic() - started < 5


def test_a_line_of_ten_megabytes_makes_a_short_message(write):
    big = "x" * 10_000_000
    for line in (
        {"clean": big},
        {"clean": "a", "corrupted": "b", "answer": [big, 3]},
        {"clean": "a", "corrupted": "b", big: 1, "anser": 3},
        {"clean": "a", "corrupted": "b", "split": big},
        {"clean": "a", "corrupted": "b", "group": [big]},
        [big],
    ):
        assert len(refused(write("a.jsonl", json.dumps(line)))) < 300
    assert len(refused(write("a.jsonl", "{" + big))) < 300
    assert len(refused(write("a.csv", f"clean,corrupted\na,{big}"))) < 300
    assert len(refused(write("a.csv", f"clean,{big[:100_000]}\na,b"))) < 300
    assert len(refused(write("b.csv", f"clean,corrupted,{big[:100_000]}\na,b,c"), answers="z")) < 300
    assert len(refused(write("a.jsonl", json.dumps({"clean": big, "corrupted": "a"})))) < 2500


@pytest.mark.parametrize(
    "line",
    [
        '{"clean_tokens": [5, -1], "corrupted_tokens": [3]}',
        '{"clean_tokens": [5, 99999999999999999999], "corrupted_tokens": [3, 4]}',
        '{"clean_tokens": [5, 1e400], "corrupted_tokens": [3, 4]}',
        '{"clean_tokens": [5, 4], "corrupted_tokens": [3, 4], "answer_token": -7}',
        '{"clean_tokens": [5, 4], "corrupted_tokens": [3, 4], "answer_position": 99999999999999999999}',
        '{"clean": "a", "corrupted": "b", "x": ' + "9" * 5000 + "}",
        '{"clean": "a", "corrupted": "b", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"clean": "a", "corrupted": "b", "x": "\\udc80"}',
        '{"clean": "a", "corrupted": "b", "\\udc80": 1}',
        '{"clean": "a", "corrupted": "b", "x": Infinity}',
    ],
)
def test_numbers_nesting_and_half_characters(write, line):
    said = refused(write("a.jsonl", line))
    assert said.startswith("a.jsonl, line 1")


@pytest.mark.parametrize("cell", ["9" * 5000, "[" * 100_000, "[" * 60_000 + "]" * 60_000, "-1", "1e400", "NaN"])
def test_cells(write, cell):
    name = write("a.csv", f"clean,corrupted,correct_idx,incorrect_idx\na b,a c,{cell},2\n")
    assert refused(name).startswith("a.csv, line 2")
    name = write("a.csv", f"clean,corrupted,label\na b,a c,{cell}\n")
    find_task(name, answers="label")


SEEDS = [
    ("jsonl", b'{"clean": "a b", "corrupted": "a c", "answer": "x", "wrong_answer": ["y", "z"], "group": 1}\n' * 3),
    ("jsonl", b'{"clean_tokens": [1, 2], "corrupted_tokens": [1, 3], "answer_token": 4, "answer_position": [0]}\n'),
    ("json", b'{"prompts": [{"clean": "a", "corrupt": "b", "answers": ["x"], "wrong_answers": [3]}], "labels": []}'),
    ("json", b'[{"clean": "1 <predict>2</predict>", "corrupted": "1 <predict>3</predict>", "split": "train"}]'),
    ("csv", b'clean,corrupted,correct_idx,incorrect_idx\n"a, b","c, d","[1, 2]",3\r\nx,y,4,5\n'),
    ("tsv", b"clean\tcorrupted\tanswer\tsplit\na\tb\tc\ttrain\nd\te\tf\ttest\n"),
]
PIECES = [
    b"",
    b"\0",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\n",
    b"\r",
    b"\xff",
    b"-1",
    b"1e999",
    b"null",
    b"true",
    b"NaN",
]
PIECES += [
    b"<predict>",
    b"\\ud83d",
    b"9" * 30,
    b"split",
    b"test",
    b"clean",
    b'"clean": 3, ',
    "é".encode(),
    b"\xef\xbb\xbf",
]


@pytest.mark.filterwarnings("ignore::acdc.AcdcWarning")
def test_damaged_files_give_pairs_or_a_sentence(write):
    """Seeded fuzzing: pieces put in, taken out or changed at random places."""
    chance = random.Random("prompt files")
    outcomes = []
    for number in range(1000):
        suffix, seed = chance.choice(SEEDS)
        data = bytearray(seed)
        for _ in range(chance.randrange(3)):
            start = chance.randrange(len(data) + 1)
            data[start : start + chance.choice([0, 0, 1, 5])] = chance.choice(PIECES)
        name = write(f"a.{suffix}", bytes(data))
        columns = {"answers": "answer"} if number % 4 == 0 else {}
        try:
            task = find_task(name, **columns)
            prompts = task.prompts(Bytes(), vocab_size=256, skip_bad_pairs=number % 3 == 0)
            said = ""
        except AcdcError as error:
            said = str(error)
        else:
            assert prompts.pairs
        assert len(said) < 2500
        assert "\n" not in said
        outcomes.append(bool(said))
    assert 200 < sum(outcomes) < 800

"""Bars for what takes a while before a run."""

import time

from acdc.waiting import bars, waiting


def slowly(n, seconds):
    for i in range(n):
        time.sleep(seconds / n)
        yield i


def test_a_bar_only_after_a_second_and_only_where_it_is_wanted(capsys):
    with bars(True):
        assert list(waiting(slowly(5, 0.1), "quick things")) == list(range(5))
        assert capsys.readouterr().err == ""
        assert list(waiting(slowly(12, 1.3), "slow things", total=12)) == list(range(12))
    out, err = capsys.readouterr()
    assert "slow things" in err
    assert out == ""
    with bars(True), bars(False):
        list(waiting(slowly(12, 1.2), "silent things"))
    list(waiting(range(3), "things"))
    assert capsys.readouterr().err == ""


def test_prompts_are_read_made_and_tokenized_behind_bars(monkeypatch, capsys, gpt2_model, tmp_path):
    from tiny import write_pairs

    from acdc import waiting as module
    from acdc.pairs.finding import find_task

    monkeypatch.setattr(module, "_AFTER_SECONDS", 0.0)
    with bars(True):
        find_task(write_pairs(tmp_path / "pairs.jsonl")).prompts(gpt2_model.tokenizer)
        from transformers import AutoTokenizer

        from acdc.bundled import bundled_models

        find_task("ioi").prompts(AutoTokenizer.from_pretrained(bundled_models()["tiny-tasks"]), 5)
    said = capsys.readouterr().err
    assert all(what in said for what in ("reading pairs.jsonl", "tokenizing prompts", "making prompts of ioi"))

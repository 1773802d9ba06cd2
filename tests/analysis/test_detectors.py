"""Head detectors: on planted and trained models, and against definitions written out loop by loop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hooked import answered, model_of
from tiny import save_toy

import acdc
from acdc.analysis.copying import copying
from acdc.analysis.detectors import LOOKS, THRESHOLDS, WRITES, HeadDetectors, head_detectors, labels
from acdc.analysis.ov import ov_summary
from acdc.analysis.patterns import attention_patterns
from acdc.analysis.qk import qk_summary
from acdc.analysis.repeated import repeated_tokens
from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.pairs import PromptSet

GBMI = Path(__file__).parents[3] / "shared" / "models" / "gbmi-induction-2L1H"
DATA = Path(__file__).parents[1] / "data"


def test_the_planted_induction_model_has_one_head_of_either_kind():
    setting = acdc.set_up("planted-induction", "induction", n=5)
    for on in (setting, setting.model):
        found = head_detectors(on)
        assert labels(found) == {"a0.h1": "previous token", "a1.h0": "induction, copying"}
        assert found.of("a0.h1")["previous token"] > 0.999
        assert found.of("a1.h0")["induction"] > 0.999
    assert head_detectors(setting).task[3, LOOKS.index("induction")] > 0.999


def test_a_trained_induction_model_has_too():
    if not GBMI.is_dir():
        pytest.skip(f"needs {GBMI.name}")
    setting = acdc.set_up(GBMI, DATA / "induction.jsonl")
    for on in (setting, setting.model):
        assert labels(head_detectors(on)) == {"a0.h0": "previous token", "a1.h0": "induction, copying"}


@torch.no_grad()
def by_loops(theirs, prompts):
    """``[head, look]`` of all but fuzzy induction, as the definitions say it."""
    sums, counts = np.zeros((8, 5)), np.zeros(5)
    for ids in prompts:
        found = theirs(torch.tensor([ids]), output_attentions=True, use_cache=False).attentions
        weights = torch.stack(found)[:, 0].flatten(0, 1).double().numpy()  # [head, pos_q, pos_k]
        for q in range(len(ids)):
            where = [
                [q - 1] if q >= 2 else [],
                [q] if q >= 2 else [],
                [0] if q >= 2 else [],
                [k for k in range(q) if ids[k] == ids[q]],
                [k for k in range(1, q) if ids[k - 1] == ids[q]],
            ]
            for look, keys in enumerate(where):
                if keys:
                    sums[:, look] += weights[:, q, keys].sum(1)
                    counts[look] += 1
    return sums / counts


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel", "gemma2"])
def test_on_the_task_they_are_what_the_definitions_say(family):
    theirs, pairs = model_of(family), answered(vocab=6)
    setting = prepare(acdc.load_model(theirs), pairs, batch_size=2)
    expected = by_loops(theirs, [pair.clean for pair in pairs.pairs])
    np.testing.assert_allclose(head_detectors(setting, n=1).task[:, :5], expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@torch.no_grad()
def test_on_random_tokens_too(family):
    theirs = model_of(family)
    model = acdc.load_model(theirs)
    found, drawn = head_detectors(model, n=3, length=13, seed=4), repeated_tokens(model, (), 3, 13, 4)
    prompts = [tuple(row[:n].tolist()) for row, n in zip(drawn.exact.ids, drawn.exact.lengths, strict=True)]
    np.testing.assert_allclose(found.random[:, :5], by_loops(theirs, prompts), rtol=0, atol=3e-6)
    sums, count = np.zeros(8), 0
    for row, period in zip(drawn.alike.ids, drawn.periods, strict=True):
        ids = row[: 2 * period]
        weights = torch.stack(theirs(ids[None], output_attentions=True, use_cache=False).attentions)[:, 0].flatten(0, 1)
        for place in range(period - 1):
            sums += weights[:, period + place, place + 1].double().numpy()
            count += 1
    np.testing.assert_allclose(found.random[:, 5], sums / count, rtol=0, atol=3e-6)


def test_random_tokens_repeat_themselves_at_many_distances():
    theirs = model_of("gpt2")
    model = acdc.load_model(theirs)
    drawn = repeated_tokens(model, (7,), 30, 21, 0)
    distances = set()
    for row in drawn.exact.ids.tolist():
        assert len(row) == 21
        assert row[0] == 7
        period = next(d for d in range(1, 20) if row[1:-d] == row[1 + d :])
        assert len(set(row[1 : 1 + period])) == period
        distances.add(period)
    assert distances == set(range(5, 11))
    table = torch.nn.functional.normalize(theirs.transformer.wte.weight.detach(), dim=-1)
    for row, period in zip(drawn.alike.ids.tolist(), drawn.periods, strict=True):
        block, near = row[1 : 1 + period], row[1 + period : 1 + 2 * period]
        for token, other in zip(block, near, strict=True):
            others = [each for each in range(50) if each not in block]
            assert other == max(others, key=lambda each: float(table[token] @ table[each]))
    again = repeated_tokens(model, (7,), 30, 21, 0)
    assert torch.equal(again.exact.ids, drawn.exact.ids)
    assert not torch.equal(repeated_tokens(model, (7,), 30, 21, 1).exact.ids, drawn.exact.ids)


def test_special_tokens_arent_drawn_and_stand_where_the_tokenizer_puts_them(tmp_path):
    from tiny import gpt2, tokenizer

    words = tokenizer()
    words.add_special_tokens({"bos_token": "<s>", "pad_token": "<pad>"})
    model = acdc.load_model(gpt2(), tokenizer=words)
    drawn = repeated_tokens(model, (), 50, 16, 0)
    special = {words.bos_token_id, words.pad_token_id, words.unk_token_id}
    used = {int(token) for row, n in zip(drawn.alike.ids, drawn.alike.lengths, strict=True) for token in row[:n]}
    assert used == set(range(len(words))) - special  # and none behind the tokenizer's last


def test_a_context_too_short_for_random_tokens_leaves_the_task(tmp_path):
    model = acdc.load_model(save_toy(tmp_path / "toy", n_ctx=5))
    pairs = answered(lengths=(5, 5, 5), vocab=4)
    found = head_detectors(prepare(model, pairs))
    assert np.isnan(found.random).all()
    assert found.of("a0.h0")["induction"] == found.task[0, LOOKS.index("induction")]
    assert "fuzzy induction" not in found.of("a0.h0")
    assert np.isnan(head_detectors(model).random).all()
    assert np.isnan(head_detectors(model).task).all()


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt-neox-parallel", "gemma2"])
@torch.no_grad()
def test_copying_is_of_the_models_own_modules(family):
    theirs, pairs = model_of(family), answered(vocab=30)
    setting = prepare(acdc.load_model(theirs), pairs)
    ids = sorted({token for pair in pairs.pairs for token in (*pair.clean, *pair.corrupted)})
    got = copying(setting)
    expected = np.zeros((8, 2))
    for layer, head in np.ndindex(2, 4):
        logits = ov_logits(theirs, family, ids, layer, head)
        for at in range(len(ids)):
            order = logits[at].argsort(descending=True).tolist()
            expected[4 * layer + head] += (order[0] == at, order[-1] == at)  # a twentieth of 23 is one
    np.testing.assert_allclose(got, expected / len(ids), rtol=0, atol=1e-12)
    assert 1 <= len(ids) // 20 < 2


def ov_logits(theirs, family, ids, layer, head):
    """``[token, token]``, by modules of Hugging Face."""
    ids = torch.tensor(ids)
    x = theirs.get_input_embeddings()(ids)
    u = theirs.get_output_embeddings().weight[ids]
    if family == "gpt2":
        block, first, norm = theirs.transformer.h[layer], theirs.transformer.h[0], theirs.transformer.ln_f
        if layer:
            x = x + first.mlp(first.ln_2(x))
        v = block.attn.c_attn(block.ln_1(x)).chunk(3, -1)[2][:, 8 * head : 8 * head + 8]
        y = v @ block.attn.c_proj.weight[8 * head : 8 * head + 8]
        return ((y - y.mean(-1, keepdim=True)) * norm.weight) @ u.T
    if family == "gpt-neox-parallel":
        block, first = theirs.gpt_neox.layers[layer], theirs.gpt_neox.layers[0]
        norm = theirs.gpt_neox.final_layer_norm
        if layer:
            x = x + first.mlp(first.post_attention_layernorm(x))
        v = block.attention.query_key_value(block.input_layernorm(x)).unflatten(-1, (4, 3, 8))[:, head, 2]
        y = v @ block.attention.dense.weight.T[8 * head : 8 * head + 8]
        return ((y - y.mean(-1, keepdim=True)) * norm.weight) @ u.T
    block, first, norm = theirs.model.layers[layer], theirs.model.layers[0], theirs.model.norm
    gemma = family == "gemma2"
    if layer and gemma:
        x = x + first.post_feedforward_layernorm(first.mlp(first.pre_feedforward_layernorm(x)))
    elif layer:
        x = x + first.mlp(first.post_attention_layernorm(x))
    v = block.self_attn.v_proj(block.input_layernorm(x))[:, 8 * (head // 2) : 8 * (head // 2) + 8]
    y = v @ block.self_attn.o_proj.weight.T[8 * head : 8 * head + 8]
    y = y * (1 + block.post_attention_layernorm.weight) if gemma else y
    return (y * (1 + norm.weight if gemma else norm.weight)) @ u.T


def test_who_is_level_with_others_is_neither_copied_nor_suppressed(tmp_path):
    model = acdc.load_model(save_toy(tmp_path / "toy"))
    setting = prepare(model, answered(vocab=18))
    for attention in model.attention:
        attention.W_O.zero_()
    np.testing.assert_array_equal(copying(setting), 0.0)


def test_a_head_that_writes_the_opposite_suppresses(tmp_path):
    model = acdc.load_model(save_toy(tmp_path / "toy"))
    setting = prepare(model, answered(vocab=18))
    before = copying(setting)
    for attention in model.attention:
        attention.W_O.mul_(-1)
    np.testing.assert_array_equal(copying(setting), before[:, ::-1])
    assert before.any()


def detectors(**scores):
    random, writes = np.zeros((1, len(LOOKS))), np.zeros((1, len(WRITES)))
    for name, score in scores.items():
        name = name.replace("_", " ")
        made, names = (random, LOOKS) if name in LOOKS else (writes, WRITES)
        made[0, names.index(name)] = score
    return HeadDetectors(("a0.h0",), random, np.full((1, len(LOOKS)), np.nan), writes)


@pytest.mark.parametrize(
    ("scores", "label"),
    [
        ({}, None),
        ({"induction": THRESHOLDS["induction"]}, "induction"),
        ({"induction": THRESHOLDS["induction"] - 0.01}, None),
        ({"induction": 0.5, "previous_token": 0.45}, "induction"),
        ({"induction": 0.5, "fuzzy_induction": 0.55}, "fuzzy induction"),
        ({"induction": 0.45, "first_token": 0.9}, "induction"),
        ({"first_token": 0.9}, "first token"),
        ({"first_token": 0.9, "copying": 0.9}, "copying"),
        ({"induction": 0.5, "copy_suppression": 0.9}, "induction, copy suppression"),
    ],
)
def test_labels(scores, label):
    assert labels(detectors(**scores)).get("a0.h0") == label


def test_what_cant_be_measured_has_no_score_and_an_empty_cell(tmp_path):
    found = detectors(induction=0.7)
    assert set(found.of("a0.h0")) == {*LOOKS, *WRITES}
    bare = replace(found, random=found.task)
    assert set(bare.of("a0.h0")) == set(WRITES)
    assert bare.table().rows[0][:4] == ("a0.h0", None, None, None)
    columns = found.table().columns
    assert dict(zip(columns, found.table().rows[0], strict=True))["label"] == "induction"
    assert found.write_table(tmp_path / "heads.csv").read_text().splitlines()[1].startswith("a0.h0,induction,0.0,")
    assert found.draw(tmp_path / "heads.svg").stat().st_size > 1000


def test_bad_arguments():
    model = acdc.load_model(model_of("gpt2"))
    with pytest.raises(SettingsError, match=r"take a setting of `acdc\.set_up` or a model, not 'gpt2'"):
        head_detectors("gpt2")
    with pytest.raises(SettingsError, match="`n` must be at least 1, not 0"):
        head_detectors(model, n=0)
    with pytest.raises(SettingsError, match="`length` must be a whole number"):
        head_detectors(model, length=2.5)
    with pytest.raises(SettingsError, match="`seed` must be at least 0"):
        head_detectors(model, seed=-1)


def test_a_lead_is_what_all_prompts_of_the_task_begin_with():
    pairs = answered(vocab=30)
    same = PromptSet(tuple(replace(pair, clean=(3, *pair.clean[1:])) for pair in pairs.pairs), "some")
    setting = prepare(acdc.load_model(model_of("gpt2")), same)
    assert head_detectors(setting, n=2).random == pytest.approx(head_detectors(setting.model, n=2).random)


def test_what_is_frozen_has_no_part_in_what_kind_a_head_is():
    frozen, plain = (acdc.set_up("tiny-tasks", "ioi", n=2, freeze=freeze) for freeze in ("both", "none"))
    for look in (head_detectors, attention_patterns, ov_summary, qk_summary):
        assert look(frozen).table() == look(plain).table()

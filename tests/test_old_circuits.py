"""Circuit files of the version that knew ACDC alone: read, vouched for, and written back byte by byte."""

from dataclasses import replace

import pytest

from acdc.circuit import Circuit
from acdc.errors import CircuitFileError

#: As that version wrote it, fingerprint included; two keys are of somebody else's.
OLD = """\
{"cfg": {"n_layers": 1, "n_heads": 1, "d_model": 4, "parallel_attn_mlp": false, "attn_only": false, \
"split_input": false},
"found": {"task": "ioi", "model": "gpt2", "method": "acdc", "metric": "kl", "ablation": "corrupted", \
"threshold": 0.02, "order": "default", "gates": false, "n_prompts": 50, "metric_circuit": 0.0591, \
"metric_ablated": 2.4417, "faithfulness": 0.8375, "faithfulness_metric": "logit-diff", "n_held_out": null, \
"metric_held_out": null, "faithfulness_held_out": null, \
"fingerprint": "3f0af2c3eb082430b673043e3c16d48391bf7913933e870b839d980739a337ea", "colour": "blue", "seed": "red"},
"nodes": {
"input": {"in_graph": true},
"a0.h0": {"in_graph": false},
"m0": {"in_graph": true},
"logits": {"in_graph": true}
},
"edges": {
"input->a0.h0<q>": {"score": null, "in_graph": false},
"input->a0.h0<k>": {"score": 0.0, "in_graph": false},
"input->a0.h0<v>": {"score": 0.0, "in_graph": false},
"input->m0": {"score": 0.30000000000000004, "in_graph": true},
"a0.h0->m0": {"score": 0.0, "in_graph": false},
"input->logits": {"score": 0.0, "in_graph": false},
"a0.h0->logits": {"score": 0.0, "in_graph": false},
"m0->logits": {"score": 0.7000000000000001, "in_graph": true}
}}
"""


@pytest.fixture
def load(tmp_path):
    def load(text=OLD):
        (tmp_path / "old.json").write_text(text)
        return Circuit.load(tmp_path / "old.json")

    return load


def saved(circuit, path):
    circuit.save(path / "again.json")
    return (path / "again.json").read_text()


def test_its_figures_hold_and_its_options_are_known(load):
    circuit = load()
    assert circuit.doubt is None
    assert circuit.figures.faithfulness == 0.8375
    found = circuit.found
    assert (found.threshold, found.order, found.gates) == (0.02, "default", False)
    assert found.options == {"threshold": 0.02, "order": "default", "gates": False}
    assert found.seed is None
    assert found.further == {"colour": "blue", "seed": "red"}


def test_it_is_written_back_as_it_was(load, tmp_path):
    assert saved(load(), tmp_path) == OLD


@pytest.mark.parametrize(
    ("old", "new"), [('"threshold": 0.02', '"threshold": 0.05'), ('"gates": false', '"gates": true')]
)
def test_an_edited_option_is_noticed(load, old, new):
    assert load(OLD.replace(old, new)).edited


def test_what_it_can_not_hold_turns_it_into_a_file_of_today(load, tmp_path):
    circuit = load()
    changed = replace(circuit, found=replace(circuit.found, seed=3))
    assert changed.edited
    again = load(saved(changed, tmp_path))
    assert (again.found.seed, again.found.threshold) == (3, 0.02)
    assert again.found.further == {"colour": "blue"}
    assert load(saved(again.measured(), tmp_path)).doubt is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("options", "[]"),
        ("options", "null"),
        ("options", '{"threshold": "high"}'),
        ("options", '{"threshold": true}'),
        ("options", '{"threshold": 1e999}'),
        ("options", '{"order": 3}'),
        ("options", '{"gates": "no"}'),
        ("options", '{"steps": {"a": 1}}'),
        ("options", '{"steps": [[1]]}'),
        ("options", '{"\\u001b[31m": {}}'),
        ("options", '{"steps": "\\ud83d"}'),
        ("options", '{"steps": 1, "steps": 2}'),
        ("selection", "[1]"),
        ("selection", '{"top": {"n": 3}}'),
        ("edited_from", '"me"'),
        ("edited_from", '{"edits": [1]}'),
        ("edited_from", '{"edits": "all"}'),
        ("edited_from", '{"fingerprint": 5}'),
        ("edited_from", '{"file": null}'),
        ("edited_from", '{"other": ' + "[" * 500 + "]" * 500 + "}"),
        ("n", "1.5"),
        ("seed", '"0"'),
        ("split", "3"),
        ("bos", "true"),
        ("allow_misaligned", "1"),
        ("split_input", '"yes"'),
        ("skip_bad_pairs", "0"),
        ("answers", "[]"),
        ("data_sha256", "5"),
        ("directory", "{}"),
    ],
)
def test_a_key_of_today_of_another_kind_is_refused_by_name(load, key, value):
    text = OLD.replace('"colour": "blue", "seed": "red"', f'"{key}": {value}' + ', "options": {}' * (key != "options"))
    with pytest.raises(CircuitFileError, match=f"found.{key}|stands twice") as error:
        load(text)
    assert str(error.value).isprintable()

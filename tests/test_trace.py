"""The trace: every decision, to the last digit, whatever cuts it off."""

import json
from dataclasses import asdict

import pytest

from acdc.decision import TraceLine
from acdc.errors import RunFolderError
from acdc.runs.trace import TraceWriter, read_trace

DECISIONS = [
    TraceLine("m1->logits", 0.0, 0.1 + 0.2, kept=True),
    TraceLine("gate:a1.h1<k>", 1 / 3, -1e-17, kept=False),
    TraceLine("input->a0.h0<q>", 5e-324, 1.7976931348623157e308, kept=False),
]


def test_a_trace_comes_back_to_the_last_digit(tmp_path):
    trace = TraceWriter(tmp_path / "trace.jsonl")
    assert trace.past == []
    for decision in DECISIONS:
        trace.append(decision)
    assert read_trace(tmp_path / "trace.jsonl") == DECISIONS  # before it is closed: a kill loses nothing
    trace.close()
    first = json.loads((tmp_path / "trace.jsonl").read_text().splitlines()[0])
    assert first == {"edge": "m1->logits", "before": 0.0, "after": 0.1 + 0.2, "kept": True}


def test_a_torn_last_line_is_left_out_and_cut_off(tmp_path):
    path = tmp_path / "trace.jsonl"
    lines = [json.dumps(asdict(decision)) for decision in DECISIONS]
    path.write_text("\n".join(lines))  # whole, but for its newline
    assert read_trace(path) == DECISIONS[:2]
    trace = TraceWriter(path)
    assert trace.past == DECISIONS[:2]
    trace.append(DECISIONS[2])
    trace.close()
    assert path.read_text() == "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"edge": "m1->logits"}', '{"edge": "a", "before": 1, "after": 2, "x": 3}']
)
def test_a_bad_line_in_the_middle_is_named(tmp_path, line):
    good = json.dumps(asdict(DECISIONS[0]))
    (tmp_path / "trace.jsonl").write_text(f"{good}\n{line}\n{good}\n")
    with pytest.raises(RunFolderError, match=r"trace\.jsonl, line 2 is not a decision"):
        read_trace(tmp_path / "trace.jsonl")
    with pytest.raises(RunFolderError, match=r"trace\.jsonl, line 2 is not a decision"):
        TraceWriter(tmp_path / "trace.jsonl")


def test_a_trace_that_another_holds_is_refused_and_untouched(tmp_path):
    first = TraceWriter(tmp_path / "trace.jsonl")
    first.append(DECISIONS[0])
    with pytest.raises(RunFolderError, match=r"another process is writing .*; wait for it or choose another folder"):
        TraceWriter(tmp_path / "trace.jsonl")
    first.append(DECISIONS[1])
    first.close()
    again = TraceWriter(tmp_path / "trace.jsonl")
    assert again.past == DECISIONS[:2]
    again.close()

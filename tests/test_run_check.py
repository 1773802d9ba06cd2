"""A run folder is checked against itself: trace, record and circuit belong together, or it is said which doesn't."""

import json
import shutil

import numpy as np
import pytest
from families import random_model
from tiny import pairs, save_gpt2, write_pairs

from acdc import discover, load_model
from acdc.circuit import Circuit
from acdc.errors import AcdcWarning, CircuitFileError, RunFolderError
from acdc.runs.run import Run, load_circuit

pytestmark = pytest.mark.random_models
#: What records had before they were sealed.
YOUNG = ("cfg", "drops_are_free", "asked", "directory", "verdict", "trace", "circuit", "fingerprint")


@pytest.fixture(scope="module")
def settings(gpt2_model, tmp_path_factory):
    task = write_pairs(tmp_path_factory.mktemp("task") / "pairs.jsonl", pairs(8))
    return {"model": gpt2_model, "task": task, "threshold": 0.01, "n": 4, "progress": False}


def run_once(settings, folder, **options):
    return discover(**settings | options, out=folder)


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    return run_once(settings, tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def with_options(settings, tmp_path_factory):
    """Runs in which the visiting order is another."""
    folder = tmp_path_factory.mktemp("runs")
    options = ({"gates": True}, {"order": "random", "seed": 3}, {"order": "attribution"}, {"order": "increasing"})
    return [run_once(settings, folder / str(number), **option) for number, option in enumerate(options)]


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the run, which a test may change."""
    return shutil.copytree(whole.folder, tmp_path / "run")


def as_of_old(folder):
    """Make a run's folder what version 0.1 wrote."""
    record = json.loads((folder / "run.json").read_text())
    for results in filter(None, record["results"].values()):
        del results["faithfulness"], results["faithfulness_metric"]
    record = {name: value for name, value in record.items() if name not in YOUNG} | {"format": 1}
    (folder / "run.json").write_text(json.dumps(record))
    data = json.loads((folder / "circuit.json").read_text())
    data["found"] |= data["found"].pop("options")
    old = ("task", "model", "method", "metric", "ablation", "threshold", "order", "gates", "n_prompts")
    data["found"] = {name: data["found"][name] for name in (*old, "metric_circuit", "metric_ablated")}
    (folder / "circuit.json").write_text(json.dumps(data))
    return folder


def lines_of(folder):
    return (folder / "trace.jsonl").read_text().splitlines()


def write_lines(folder, lines):
    (folder / "trace.jsonl").write_text("".join(f"{line}\n" for line in lines))


def change(folder, name, path, value):
    """Set one value of a JSON file; gives what it was."""
    data = json.loads((folder / name).read_text())
    *keys, last = path
    inner = data
    for key in keys:
        inner = inner[key]
    before, inner[last] = inner[last], value
    (folder / name).write_text(json.dumps(data))
    return before


def test_whole_runs_of_all_orders_belong_together(whole, with_options):
    for run in (whole, *with_options):
        loaded = Run.load(run.folder)
        assert loaded.decisions == run.decisions
        assert not loaded.circuit.edited
        assert loaded.circuit.found == run.circuit.found


@pytest.mark.parametrize("old", [False, True])
def test_a_flipped_decision_is_found_on_every_line(copy, old):
    if old:
        as_of_old(copy)
    lines = lines_of(copy)
    assert len(lines) > 40
    for number, line in enumerate(lines):
        flipped = line.replace("true", "?").replace("false", "true").replace("?", "false")
        write_lines(copy, [*lines[:number], flipped, *lines[number + 1 :]])
        with pytest.raises(
            RunFolderError, match=rf"trace\.jsonl doesn't fit .*: line {number + 1}: the trace has .* \(?"
        ):
            Run.load(copy)


@pytest.mark.parametrize("old", [False, True])
def test_a_line_that_is_gone_twice_there_or_in_another_place_is_found(copy, old):
    if old:
        as_of_old(copy)
    lines = lines_of(copy)
    for number in range(len(lines)):
        for changed in (
            lines[:number] + lines[number + 1 :],
            lines[: number + 1] + lines[number:],
            lines[:number] + lines[number : number + 2][::-1] + lines[number + 2 :],
        ):
            if changed == lines:
                continue
            write_lines(copy, changed)
            with pytest.raises(RunFolderError, match=r"doesn't fit .*(line \d+: the trace|it ends (where|before))"):
                Run.load(copy)


@pytest.mark.parametrize("name", ["before", "after"])
def test_an_edited_number_of_the_trace_is_found_and_its_line_named(copy, name):
    lines = lines_of(copy)
    for number, line in enumerate(lines):
        decision = json.loads(line)
        decision[name] += 1e-12 + abs(decision[name]) * 1e-9
        write_lines(copy, [*lines[:number], json.dumps(decision), *lines[number + 1 :]])
        with pytest.raises(RunFolderError, match=r"trace\.jsonl") as error:
            Run.load(copy)
        named = f"line {number + 1}:" in str(error.value) or f"line {number + 2}:" in str(error.value)
        assert named, error.value


def test_orders_that_the_trace_itself_tells_are_checked_too(with_options, tmp_path):
    for number, run in enumerate(with_options):
        folder = shutil.copytree(run.folder, tmp_path / str(number))
        lines = lines_of(folder)
        for line in range(0, len(lines) - 1, 5):
            write_lines(folder, [*lines[:line], lines[line + 1], lines[line], *lines[line + 2 :]])
            with pytest.raises(RunFolderError, match=r"trace\.jsonl"):
                Run.load(folder)


@pytest.mark.parametrize(
    "path",
    [
        *(("tried",), ("kept",), ("in_circuit",), ("within_noise",), ("last_metric",), ("metric_ablated",)),
        *(("request", "threshold"), ("request", "seed"), ("results", "used", "n_prompts")),
        *(("results", "used", "circuit", "accuracy"), ("results", "held_out", "circuit", "metrics", "kl")),
        *(("results", "used", "model", "logit_difference"), ("results", "held_out", "faithfulness")),
    ],
)
def test_an_edited_number_of_the_record_is_found(copy, path):
    before = change(copy, "run.json", path, 0)
    for value in (before + 1, before * 2 + 3):
        change(copy, "run.json", path, value)
        with pytest.raises(RunFolderError, match=r"run\.json"):
            Run.load(copy)
    change(copy, "run.json", path, before)
    Run.load(copy)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict",), ["All is well."]),
        (("request", "metric"), "l2"),
        (("request", "order"), "increasing"),
        (("usual_metric",), "l2"),
        (("hashes", "model"), "0" * 64),
        (("results", "held_out"), None),
    ],
)
def test_an_edited_word_of_the_record_is_found(copy, path, value):
    change(copy, "run.json", path, value)
    with pytest.raises(RunFolderError, match=r"run\.json"):
        Run.load(copy)


@pytest.mark.parametrize("path", [("tried",), ("kept",), ("in_circuit",), ("within_noise",), ("last_metric",)])
def test_an_old_record_is_checked_by_its_counts(copy, path):
    as_of_old(copy)
    before = change(copy, "run.json", path, 0)
    change(copy, "run.json", path, before + 1)
    with pytest.raises(RunFolderError, match=rf"run\.json doesn't fit .*trace\.jsonl: {path[0]} is .* and should be"):
        Run.load(copy)


@pytest.mark.parametrize("name", ["run.json", "circuit.json", "trace.jsonl"])
def test_a_file_of_another_run_is_found(copy, settings, gpt2_folder, tmp_path, name):
    other = write_pairs(tmp_path / "other.jsonl", pairs(8, seed=1))
    run_once(settings, tmp_path / "other", task=other)
    shutil.copy(tmp_path / "other" / name, copy / name)
    with pytest.raises(RunFolderError, match=rf"{name}|trace\.jsonl"):
        Run.load(copy)


def test_a_circuit_of_another_graph_is_found(copy, settings, tmp_path):
    run_once(settings, tmp_path / "other", model=save_gpt2(tmp_path / "model", n_layer=3), threshold=1.0)
    shutil.copy(tmp_path / "other" / "circuit.json", copy / "circuit.json")
    with pytest.raises(RunFolderError, match="is of another graph than the run"):
        Run.load(copy)


def test_an_edited_circuit_is_no_error_but_said(copy, whole):
    edge = next(whole.circuit.edges()).name
    change(copy, "circuit.json", ("edges", edge, "in_graph"), False)
    circuit = Run.load(copy).circuit
    assert circuit.n_edges == whole.circuit.n_edges - 1
    assert circuit.doubt == "edited since it was measured"
    assert circuit.figures is None


def test_an_edited_circuit_without_a_fingerprint_or_figures_is_said_too(copy, whole):
    edge = next(whole.circuit.edges()).name
    for found in ({**whole.circuit.found.to_json(), "fingerprint": None}, {}, None):
        change(copy, "circuit.json", ("found",), found)
        change(copy, "circuit.json", ("edges", edge, "in_graph"), False)
        circuit = Run.load(copy).circuit
        assert not circuit.in_graph[circuit.graph.edge(edge).number]
        assert circuit.doubt == "edited since it was measured"
        change(copy, "circuit.json", ("edges", edge, "in_graph"), True)


def test_an_old_run_s_figures_are_proven_by_its_trace(copy, whole):
    circuit = Run.load(as_of_old(copy)).circuit
    assert Circuit.load(copy / "circuit.json").figures is None
    assert circuit.figures.metric_circuit == whole.circuit.found.metric_circuit
    change(copy, "circuit.json", ("found", "metric_circuit"), 0.5)
    assert Run.load(copy).circuit.figures.metric_circuit == whole.circuit.found.metric_circuit


def test_an_old_run_has_a_verdict(copy, whole):
    loaded = Run.load(as_of_old(copy))
    assert loaded.used.faithfulness is not None
    assert loaded.verdict
    assert all(isinstance(sentence, str) for sentence in loaded.verdict)


@pytest.mark.parametrize("content", [None, b"", b"half"])
def test_a_lost_or_torn_circuit_is_rebuilt(copy, whole, content):
    (copy / "circuit.json").unlink()
    if content is not None:
        written = (whole.folder / "circuit.json").read_bytes()
        (copy / "circuit.json").write_bytes(written[: len(written) // 2] if content == b"half" else content)
    with pytest.warns(AcdcWarning, match=r"circuit\.json.* The circuit is rebuilt from .*trace\.jsonl\."):
        circuit = Run.load(copy).circuit
    np.testing.assert_array_equal(circuit.in_graph, whole.circuit.in_graph)
    np.testing.assert_array_equal(circuit.scores, whole.circuit.scores)
    assert circuit.found == whole.circuit.found
    if content is None:  # written anew; what can't be read may be somebody's work
        assert (copy / "circuit.json").read_bytes() == (whole.folder / "circuit.json").read_bytes()


def test_a_lost_circuit_of_an_old_run_is_a_sentence(copy):
    (as_of_old(copy) / "circuit.json").unlink()
    with pytest.raises(RunFolderError, match="of an older version, whose record doesn't keep the model's shape"):
        Run.load(copy)


@pytest.mark.parametrize("format", [3, 0, -1, 10**30])
def test_a_record_of_an_unknown_format_is_refused(copy, format):
    change(copy, "run.json", ("format",), format)
    why = "a newer one wrote it; update acdc" if format > 1 else "no version writes that"
    with pytest.raises(RunFolderError, match=why):
        Run.load(copy)


@pytest.mark.parametrize("format", ["1", 1.5, True, None])
def test_a_format_that_is_no_number_is_refused(copy, format):
    change(copy, "run.json", ("format",), format)
    with pytest.raises(RunFolderError, match="format must be a whole number"):
        Run.load(copy)


@pytest.mark.parametrize("seconds", ["Infinity", "-Infinity", "NaN", "1e999", "1e300", "-1"])
def test_seconds_that_are_no_time_are_refused(copy, seconds):
    before = json.loads((copy / "run.json").read_text())["seconds"]
    text = (copy / "run.json").read_text().replace(f'"seconds": {before!r}', f'"seconds": {seconds}')
    (copy / "run.json").write_text(text)
    with pytest.raises(RunFolderError, match="seconds must be"):
        Run.load(copy)


def test_shared_norms_measure_anew_where_edges_are_dropped_and_only_there(tmp_path):
    """Where heads share a norm behind their sum, dropping edges into a head that nothing reads moves the metric."""
    model = load_model(random_model("gemma2"))
    run = discover(
        model, write_pairs(tmp_path / "pairs.jsonl", pairs(4)), threshold=0.03, out=tmp_path / "run", progress=False
    )
    left = [decision.before if decision.kept else decision.after for decision in run.decisions]
    jumps = [i + 1 for i, (end, next_) in enumerate(zip(left, run.decisions[1:], strict=False)) if end != next_.before]
    assert jumps
    assert run.record.drops_are_free is False
    assert Run.load(tmp_path / "run").decisions == run.decisions
    lines = lines_of(tmp_path / "run")
    for number in {1, len(lines) - 1} - set(jumps):
        decision = json.loads(lines[number])
        decision["before"] -= 1e-9
        write_lines(tmp_path / "run", [*lines[:number], json.dumps(decision), *lines[number + 1 :]])
        with pytest.raises(RunFolderError, match=rf"line {number + 1}: the trace has"):
            Run.load(tmp_path / "run")
    write_lines(tmp_path / "run", lines)
    Run.load(as_of_old(tmp_path / "run"))  # a record that doesn't say so allows it


@pytest.mark.parametrize(
    "cfg", [5, {}, {"n_layers": 2}, {"n_layers": 10**9, "n_heads": 1}, {"n_layers": 9, "n_heads": 9, "colour": 1}]
)
def test_a_shape_of_no_graph_is_a_sentence_also_where_the_circuit_is_lost(copy, cfg):
    change(copy, "run.json", ("cfg",), cfg)
    (copy / "circuit.json").unlink()
    with pytest.raises(RunFolderError, match=r"run\.json is not the record of a run: .*cfg"):
        Run.load(copy)
    change(copy, "run.json", ("cfg",), {"n_layers": 5000, "n_heads": 1})  # more than the trace can be of
    with pytest.raises(RunFolderError, match="too short for a run on the 10,002 nodes"):
        Run.load(copy)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("request", "order"), None),
        (("request", "gates"), "no"),
        (("request", "seed"), -1),
        (("request", "threshold"), -1),
        (("results", "used", "faithfulness"), "much"),
        (("results", "used", "faithfulness_metric"), "unheard-of"),
        (("verdict",), 5),
        (("trace",), 5),
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_a_damaged_record_is_a_sentence_whether_sealed_or_not(copy, path, value, sealed):
    change(copy, "run.json", path, value)
    if not sealed:
        record = json.loads((copy / "run.json").read_text())
        del record["fingerprint"]
        (copy / "run.json").write_text(json.dumps(record))
    if not sealed and path[0] in ("verdict", "trace"):  # an older version's further keys
        assert Run.load(copy).verdict
        return
    with pytest.raises(RunFolderError):
        Run.load(copy)


def test_a_circuit_is_checked_by_the_folder_that_it_is_in(copy, whole, tmp_path):
    lines = lines_of(copy)
    shutil.copy(copy / "circuit.json", tmp_path / "mine.json")
    for path in (copy, copy / "circuit.json", tmp_path / "mine.json"):
        assert load_circuit(path).figures == whole.circuit.found
    write_lines(copy, lines[:-1])
    for path in (copy, copy / "circuit.json"):
        with pytest.raises(RunFolderError):
            load_circuit(path)
    assert load_circuit(tmp_path / "mine.json").figures


def test_a_circuit_alone_still_has_its_own_error(copy):
    (copy / "circuit.json").write_text("{")
    with pytest.raises(CircuitFileError):
        Circuit.load(copy / "circuit.json")

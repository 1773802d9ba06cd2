"""The comparison with EAP-IG, whose part a script speaks that has acdc's own scores."""

import json
from pathlib import Path

import eap_ig
import eap_ig_ours
import eap_ig_rows
import numpy as np
import peer_clock
import peers
import pytest
import torch
from shapes import prompts_of
from test_peers import put_peer

import acdc
from acdc.engine.setting import prepare
from acdc.methods.registry import find_method
from acdc.metrics import find_metric

#: Two methods' scores, as EAP-IG has them; the names are its own.
FAKE_PEER = """
import json, sys
from pathlib import Path
job = json.loads(Path(sys.argv[1]).read_text())
given = json.loads(Path("given.json").read_text())
sources = Path(job["sources"], "eap", "attribute.py").read_text()
if "cuda" in sources:
    raise SystemExit("it runs on a GPU")
print("time")
result = {"versions": {"torch": "0"}, "logits": given["logits"]}
if "nodes" in job:
    result["nodes"] = given["nodes"]
else:
    took = {"cpu": 7.0, "wall": 8.0, "peak_bytes": 9_000_000}
    result["methods"] = {name: {"scores": given["methods"][name], **took} for name in job["methods"]}
Path(job["result"]).write_text(json.dumps(result))
"""
TOGETHER = {"n": 3, "length": 6, "changed": 3}


@pytest.fixture
def checkout(tmp_path):
    """A folder that looks like EAP-IG's, of no known commit."""
    package = tmp_path / "their checkout" / "src" / "eap"
    package.mkdir(parents=True)
    for name in eap_ig.MODULES:
        (package / f"{name}.py").write_text("zeros(3, device='cuda'); ones(3, device=\"cuda\")\n")
    return package.parents[1]


@pytest.fixture(scope="module")
def case(tiny_shape, tmp_path_factory):
    """The model and the prompts that the command makes by the same seed."""
    return eap_ig._case(tiny_shape, tmp_path_factory.mktemp("case"), TOGETHER, 0)


@pytest.fixture(scope="module")
def setting(case):
    model = acdc.load_model(case.model, device="cpu", dtype="float64")
    return prepare(model, prompts_of(model, case.prompts))


@pytest.fixture(scope="module")
def given(setting):
    """What a peer says that has the same model, divides by the prompts once more, and is right on every node."""
    n, metric = len(setting.prompts), find_metric("logit-diff")
    names = [edge.name for edge in setting.graph.edges()]
    methods, nodes = {}, {}
    for name, (options, theirs, _) in eap_ig.METHODS.items():
        scores = find_method(name, **options).find(setting, metric).scores
        methods[theirs] = dict(zip(names, (scores / n).tolist(), strict=True))
        nodes[name] = eap_ig._by_source(setting, scores)
    patched = brute_force(setting)
    shared = {name: value / n for name, value in patched.items()}
    slopes = {name: value / n for name, value in nodes["eap"].items()}
    return {
        "logits": setting.model_logits.tolist(),
        "methods": methods,
        "nodes": {
            "patched": patched,
            "exact": patched,
            "activations": shared,
            "slope": nodes["eap"],
            "node-level EAP": slopes,
        },
    }


def brute_force(setting):
    """What patching each node everywhere costs, by a residual stream without slots."""
    given, model, graph, rows = setting.contributions, setting.model, setting.graph, slice(0, len(setting.prompts))
    ablated, heads = given.ablated(rows), graph.cfg.n_heads
    costs = {}
    for index, source in enumerate(graph.sources):
        x, at = (ablated[0] if index == 0 else given.inputs[0]).clone(), 1
        for layer in range(graph.cfg.n_layers):
            written, rest = model.heads(layer, *[x.expand(heads, *x.shape)] * 3, setting.tokens)
            written = written.clone()
            if at <= index < at + heads:
                written[index - at] = ablated[index]
            x = x + written.sum(0) + (0 if rest is None else rest)
            at += heads
            x = x + (ablated[index] if index == at else model.mlp(layer, x))
            at += 1
        values = find_metric("logit-diff").per_prediction(
            setting.predictions(x, rows), setting.model_logits, setting.answers
        )
        costs[source.name] = float(values.mean())
    return costs


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """acdc's side in this process, and once for all: model and prompts are always the same."""
    result, known = tmp_path_factory.mktemp("ours") / "ours.json", {}

    def ours(job, scratch, total):
        key = json.dumps([job["dtype"], job["methods"]])
        if key not in known:
            eap_ig_ours.main({**job, "result": str(result)})
            known[key] = json.loads(result.read_text())
        return known[key]

    return ours


@pytest.fixture
def compare(run, tiny_shape, checkout, given, ours, monkeypatch):
    """Run the comparison on a tiny model; gives exit code, output, errors and what was written."""
    monkeypatch.setitem(peers.SHAPES, "2-layer", tiny_shape)
    monkeypatch.setattr(eap_ig, "NODE_SHAPE", tiny_shape)
    monkeypatch.setattr(eap_ig, "NODE_STEPS", 8)
    monkeypatch.setattr(eap_ig, "_ours", ours)

    def compare(*args, at=checkout, said=given):
        if said is not None:
            Path("given.json").write_text(json.dumps(said))
            put_peer(FAKE_PEER)
        options = ["--shape", "2-layer", "--n", 3, "--length", 6, "--changed", 3, "--out", "out", "--venv", "peer"]
        code, out, err = run(peers, *options, "--eap-ig", at, *args)
        path = Path("out/peers.json")
        return code, out, err, json.loads(path.read_text()) if path.exists() else None

    return compare


def test_scores_stand_beside_the_peers_edge_by_edge(compare, setting):
    code, out, err, record = compare()
    assert code == 0, err
    assert record["not_measured"] is None
    assert [(row["method"], row["dtype"]) for row in record["scores"]] == [
        (name, dtype) for dtype in ("float64", "float32") for name in ("eap", "eap-ig")
    ]
    for row in record["scores"]:
        assert row["equal"]
        assert (row["n_edges"], row["factor"]) == (setting.graph.n_edges, 3)
        assert row["fitted"] == pytest.approx(3, rel=1e-5)
        assert row["difference"] <= (1e-12 if row["dtype"] == "float64" else 1e-5)
        assert row["largest"] > 1e-3
    assert "multiplied by 3, the one constant" in out
    for pace in record["pace"]:
        ours = next(one for one in record["pace"] if (one["side"], one["method"]) == ("acdc", pace["method"]))
        assert pace["times_acdc"] == pace["cpu"] / ours["cpu"]
        assert pace["side"] == "acdc" or (pace["cpu"], pace["peak_bytes"]) == (7.0, 9_000_000)
    assert record["commit"] is None
    assert "the sources aren't those of EAP-IG's commit 795f560" in out


def test_nodes_stand_beside_brute_force(compare):
    code, _, err, record = compare()
    assert code == 0, err
    off = {**record["nodes"]["patched_off"], **record["nodes"]["slope_off"]}
    assert off["acdc"] < 1e-10
    assert off["acdc, eap-ig-activations"] < 0.02
    assert max(off[way] for way in off if way != "acdc, eap-ig-activations") < 1e-10
    assert len(record["nodes"]["patched"]["by hooks"]) == 7


def test_what_differs_is_said_with_the_edge(compare, given):
    wrong = json.loads(json.dumps(given))
    wrong["methods"]["EAP"]["m0->logits"] += 1.0
    wrong["nodes"]["node-level EAP"]["m0"] *= -2
    code, out, err, record = compare(said=wrong)
    assert code == 0, err
    first, second, *_ = record["scores"]
    assert (first["equal"], first["worst"], second["equal"]) == (False, "m0->logits", True)
    assert "eap, float64: NOT equal" in " ".join(out.split())
    assert "EAP-IG, nodes, EAP: NOT what is found by differences" in " ".join(out.split())
    assert "acdc, eap: equal to what is found by differences" in " ".join(out.split())


def test_scores_of_zero_are_no_agreement():
    nothing = {"a": 0.0, "b": 0.0}
    assert not eap_ig_rows.agreement_of("eap", "float64", nothing, nothing, 3).equal


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said["logits"][0].__setitem__(0, 9.0), "it runs another model"),
        (lambda said: said["methods"]["EAP"].pop("m0->logits"), "its graph has other edges"),
        (lambda said: said.pop("logits"), "KeyError"),
    ],
)
def test_a_peer_that_is_something_else_is_left_out(compare, given, change, words):
    said = json.loads(json.dumps(given))
    change(said)
    code, out, err, record = compare(said=said)
    assert code == 0, err
    assert words in record["not_measured"]
    assert "EAP-IG isn't measured: " in out
    assert "Traceback" not in out + err
    assert record["scores"] == []
    assert [(pace["side"], pace["method"]) for pace in record["pace"]] == [("acdc", "eap"), ("acdc", "eap-ig")]


def test_what_was_measured_before_a_failure_stays(compare, given):
    code, out, err, record = compare(said={name: value for name, value in given.items() if name != "nodes"})
    assert code == 0, err
    assert "EAP-IG isn't measured wholly: KeyError: 'nodes'" in out
    assert (len(record["scores"]), len(record["pace"]), record["nodes"]) == (4, 4, None)


def test_an_environment_that_cant_be_made_is_said(compare):
    Path("file").write_text("")
    code, out, err, record = compare("--venv", "file/venv")
    assert code == 0, err
    assert "EAP-IG isn't measured: file" in out
    assert "Traceback" not in out + err
    assert {pace["side"] for pace in record["pace"]} == {"acdc"}


def test_the_checkout_is_only_read(compare, checkout):
    def files():
        return {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}

    before = files()
    assert compare()[0] == 0
    assert files() == before


@pytest.mark.parametrize("at", ["nowhere", "empty", "a file", "old"])
def test_what_is_no_checkout_is_an_error(compare, at):
    Path("empty").mkdir()
    Path("a file").write_text("")
    Path("old", "eap").mkdir(parents=True)
    code, _, err, record = compare(at=at)
    assert code == 2
    assert f"{at}: that is no checkout of EAP-IG, it has no src/eap/attribute.py; clone https://github.com" in err
    assert "check out 795f560" in err
    assert err.count("\n") == 1
    assert record is None


def test_sources_that_are_no_text_are_an_error(compare, checkout):
    (checkout / "src" / "eap" / "utils.py").write_bytes(b"\xff\xfe\x00")
    code, _, err, record = compare()
    assert code == 2
    assert "aren't all text in UTF-8" in err
    assert record is None


@pytest.mark.parametrize("options", [("--share", 0.1), ("--sample", 2)])
def test_options_of_the_other_peer_are_refused(compare, options):
    code, _, err, record = compare(*options)
    assert code == 2
    assert f"{options[0]} is for AutoCircuit's ACDC; leave it out with --eap-ig" in err
    assert record is None


def test_line_ends_are_no_other_revision(checkout, tmp_path):
    texts = {path.name: path.read_text() for path in (checkout / "src" / "eap").glob("*.py")}
    for path in (checkout / "src" / "eap").glob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    known = eap_ig._fingerprint(texts)
    assert known != eap_ig.KNOWN
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eap_ig, "KNOWN", known)
        assert not eap_ig.copied(checkout, tmp_path / "copy").changed
        (checkout / "src" / "eap" / "graph.py").write_text("edited")
        assert eap_ig.copied(checkout, tmp_path / "another").changed


def test_the_quickest_time_and_the_growth_count():
    held = []

    def work():
        held.append(np.ones(4_000_000))  # 32 MB
        return len(held)

    forgotten = []
    result, took = peer_clock.measured(work, 3, lambda: forgotten.append(held.clear()))
    assert result == 1
    assert len(forgotten) == 3
    assert took["wall"] >= 0
    assert took["peak_bytes"] is None or 31e6 < took["peak_bytes"] < 60e6
    assert peer_clock.measured(work, 1)[1]["peak_bytes"] is None


def test_prompts_have_answers_that_differ(case, setting):
    rows = [json.loads(line) for line in case.prompts.read_text().splitlines()]
    assert all(row["answer_token"] != row["wrong_answer_token"] for row in rows)
    assert setting.prompts.has_answers
    assert setting.prompts.has_wrong_answers
    assert torch.isfinite(setting.model_logits).all()
    assert rows[0]["answer_token"] == setting.prompts.pairs[0].answers[0][0]

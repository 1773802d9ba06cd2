"""``acdc export --format mib``, as typed."""

import numpy as np
import pytest

from acdc import Circuit, Graph, Provenance
from acdc.export import mib
from acdc.export.mib import SHARES
from acdc.graphconfig import GraphConfig

CFG = GraphConfig(5, 6, 8)


@pytest.fixture
def circuits(tmp_path, monkeypatch):
    """Files of nine circuits, and one whose scores rank every edge."""
    for model in ("gpt2", "qwen2.5"):
        monkeypatch.setitem(mib.MODELS, model, CFG)
    graph, found = Graph(CFG), Provenance(task="ioi", model="gpt2", method="eap-ig")
    scores = np.arange(graph.n_edges) + 1.0
    for number, share in enumerate((*SHARES, 1.0), 1):
        mask = np.zeros(graph.n_edges, dtype=bool)
        mask[: int(share * graph.n_edges)] = True
        Circuit(graph, mask, scores, found).save(tmp_path / f"c{number}.json")
    return [f"c{number}.json" for number in range(1, 10)]


def test_a_submission_is_written_added_to_and_checked(call, circuits, tmp_path):
    code, out, err = call("export", *circuits, "--format", "mib", "--out", "mine")
    assert code == 0, err
    assert out.splitlines()[0] == "mine/ioi_gpt2/0.1-percent.json"
    assert len(list((tmp_path / "mine" / "ioi_gpt2").iterdir())) == 9
    assert "mine has 1 task and 1 model so far" in err
    code, out, err = call("export", "c10.json", "--format", "mib", "--name", "arc_easy_qwen2.5", "--out", "mine")
    assert (code, out) == (0, "mine/arc-easy_qwen2.5/importances.json\n"), err
    assert "so far" not in err
    code, out, err = call("export", "mine", "--format", "mib")
    assert code == 0, err
    assert out.splitlines() == [
        "arc-easy_qwen2.5: importances of 1,491 edges",
        "ioi_gpt2: 9 circuits of 1 to 745 edges",
    ]


def test_what_makes_no_sense_is_a_sentence(refused, circuits):
    for options, said in (
        (
            (*circuits[:8], "--format", "mib", "--out", "mine"),
            "ioi_gpt2: MIB takes one file of importances or exactly 9",
        ),
        ((*circuits, "--format", "mib"), "give the folder to write by --out"),
        (
            (*circuits, "--format", "mib", "--out", "mine", "--name", "iou_gpt2"),
            "unknown task of MIB 'iou': did you mean",
        ),
        ((*circuits, "--format", "mib", "--out", "mine", "--top", 3), "a folder for MIB has no --top; leave it out."),
        (
            (*circuits, "--format", "json", "--out", "c.json"),
            "a file holds one circuit, and 9 are given; mib takes several",
        ),
        ((circuits[0], "--format", "dot", "--name", "ioi_gpt2"), "--name is for mib; leave it out."),
        ((circuits[0], "--format", "mob", "--out", "mine"), "unknown format 'mob': did you mean mib?"),
        (("none", "--format", "mib"), "can't read none"),
        (("none.json", "--format", "mib", "--out", "mine"), "can't read none.json"),
    ):
        assert said in refused("export", *options)


def test_new_formats_are_written_by_ending_and_read_back(call, finished, tmp_path):
    circuit = Circuit.load(finished / "circuit.json")
    for ending in (".graphml", ".node-link.json", ".edges.txt"):
        code, out, err = call("export", finished, "--out", f"c{ending}")
        assert (code, out) == (0, f"c{ending}\n"), err
        options = ["--model", circuit.found.model] if ending == ".edges.txt" else []
        assert call("edit", f"c{ending}", *options, "--on-path", "--out", f"again{ending[:5]}.json")[0] == 0
        again = Circuit.load(tmp_path / f"again{ending[:5]}.json")
        assert (again.in_graph == circuit.in_graph).all()
    for command in (
        ["show", "c.graphml"],
        ["evaluate", "c.node-link.json", "--worst", 0],
        ["compare", "c.graphml", finished],
    ):
        code, _, err = call(*command)
        assert code == 0, err
    assert call("export", "c.graphml", "--format", "node-link", "--out", "plain.json")[0] == 0

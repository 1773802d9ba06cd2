"""EAP-IG's ``.pt`` files: read by names, never run, and refused where they don't fit."""

import io
import pickle
import warnings
import zipfile

import numpy as np
import pytest
import torch
from eap_ig_reader import all_edges, names_of, write_pt
from theirs import CFG, EDGES, GRAPH, KEPT, names, refused, text

from acdc.errors import AcdcError, AcdcWarning, CircuitFileError
from acdc.interchange import open_circuit
from acdc.selection import Top


def test_a_parallel_model_s_tensors_open_too(tmp_path):
    cfg = CFG | {"parallel_attn_mlp": True}
    edges = {name: (float(i), i % 3 == 0) for i, name in enumerate(all_edges(cfg), 1)}
    with pytest.warns(AcdcWarning, match="on no path"):
        circuit = open_circuit(write_pt(tmp_path / "c.pt", cfg, edges))
    assert names(circuit) == {name for name, (_, kept) in edges.items() if kept}


def test_rows_and_columns_are_known_by_their_names(tmp_path):
    sources, slots = names_of(CFG)
    path = write_pt(tmp_path / "c.pt", CFG, EDGES)
    data = torch.load(path, weights_only=True)
    rows, columns = torch.randperm(len(sources)), torch.randperm(len(slots))
    data |= {
        "src_nodes": {sources[i]: True for i in rows},  # a dict, as its documentation has it
        "dst_nodes": [slots[i][0] for i in columns],
        "edges_scores": data["edges_scores"][rows][:, columns],
        "edges_in_graph": data["edges_in_graph"][rows][:, columns],
        "nodes_in_graph": data["nodes_in_graph"][rows],
    }
    torch.save(data, path)
    circuit = open_circuit(path)
    assert names(circuit) == set(KEPT)
    assert circuit.scores[GRAPH.edge("m1->logits").number] == EDGES["m1->logits"][0]


def test_cells_that_are_no_edges_are_left_out_and_counted(tmp_path):
    marked = torch.load(write_pt(tmp_path / "c.pt", CFG, EDGES), weights_only=True)["edges_in_graph"]
    marked[-1, :4] = True  # m1 into the first layer
    path = write_pt(tmp_path / "c.pt", CFG, EDGES, edges_in_graph=marked)
    with pytest.warns(AcdcWarning, match="marks 4 cells that are no edges .*beside 4 edges"):
        assert names(open_circuit(path)) == set(KEPT)


class Evil:
    """Unpickling it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def torch_bytes(value, **options):
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def test_nothing_in_a_torch_file_is_run(tmp_path):
    evil = Evil(tmp_path / "pwned")
    for content in (
        pickle.dumps(evil),
        pickle.dumps({"cfg": CFG, "edges_scores": evil}),
        torch_bytes({"cfg": CFG, "src_nodes": evil}),
        torch_bytes({"cfg": CFG, "src_nodes": evil}, _use_new_zipfile_serialization=False),
        torch_bytes(torch.nn.Linear(2, 2)),
    ):
        refused(CircuitFileError, "only running code from it would open", text(tmp_path / "c.pt", content))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda good: b"", "isn't a file of torch.save, or it is damaged|damaged"),
        (lambda good: b"hello", "damaged"),
        (lambda good: good[:100], "damaged or cut off"),
        (lambda good: good[: len(good) // 2], "damaged or cut off"),
        (lambda good: good[:-1], "damaged"),
        (lambda good: torch_bytes([1, 2]), "it holds a list, not a dict"),
        (lambda good: torch_bytes(torch.ones(3)), "it holds something of the type Tensor"),
        (lambda good: torch_bytes({"model.weight": torch.ones(3)}), "it lacks cfg, src_nodes, dst_nodes, edges_scores"),
    ],
)
def test_a_torch_file_that_is_no_circuit_is_refused(tmp_path, content, says):
    good = write_pt(tmp_path / "good.pt", CFG, EDGES).read_bytes()
    refused(CircuitFileError, says, text(tmp_path / "c.pt", content(good)))


def test_a_packed_archive_and_a_program_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**6)
    refused(CircuitFileError, "a packed archive", tmp_path / "c.pt")

    class Twice(torch.nn.Module):
        def forward(self, x: torch.Tensor):
            return 2 * x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Twice()), str(tmp_path / "c.pt"))
    refused(CircuitFileError, "a TorchScript program", tmp_path / "c.pt")


HUGE = {"n_layers": 10**4, "n_heads": 10**4, "parallel_attn_mlp": False, "d_model": 1}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cfg": 3}, "cfg must be an object, not 3"),
        ({"cfg": {"n_layers": 2}}, "it lacks cfg.n_heads"),
        ({"cfg": CFG | {"n_layers": 3}}, "its src_nodes aren't those of its cfg: they lack a2.h0, a2.h1 and m2"),
        ({"cfg": CFG | {"n_layers": 1}}, "they have 'a1.h0', 'a1.h1' and 'm1'"),
        ({"cfg": CFG | {"n_layers": -1}}, "n_layers"),
        ({"cfg": CFG | {"n_layers": True}}, "cfg.n_layers must be a whole number"),
        ({"cfg": HUGE}, "too large"),
        ({"cfg": CFG | {"n_layers": 60, "n_heads": 100}}, "far more than a file of"),
        ({"src_nodes": "input"}, "its src_nodes must be a list of names"),
        ({"src_nodes": [1, 2]}, "its src_nodes must be a list of names"),
        ({"src_nodes": ["input"] * 7}, "a name stands twice in its src_nodes"),
        ({"dst_nodes": ["\x1b[31m"]}, "its dst_nodes aren't those"),
        ({"edges_scores": [1.0]}, "its edges_scores must be a tensor, not a list"),
        ({"edges_scores": torch.zeros(7, 14)}, "its edges_scores has the shape 7 x 14, but its cfg needs 7 x 15"),
        ({"edges_scores": torch.zeros(15, 7)}, "shape 15 x 7"),
        ({"edges_scores": torch.zeros(())}, "of one number"),
        ({"edges_scores": torch.zeros(1, 1).expand(10**6, 10**6)}, "shape 1,000,000 x 1,000,000"),
        ({"edges_scores": torch.zeros(7, 15, dtype=torch.int64)}, "must hold numbers, not torch.int64"),
        ({"edges_scores": torch.zeros(7, 15, dtype=torch.complex64)}, "must hold numbers, not torch.complex64"),
        ({"edges_scores": torch.zeros(7, 15).to_sparse()}, "must hold numbers, .*sparse"),
        ({"edges_scores": torch.zeros(7, 15, device="meta")}, "meta"),
        ({"edges_in_graph": torch.zeros(7, 15).bool().T}, "its edges_in_graph has the shape 15 x 7"),
        ({"edges_in_graph": torch.full((7, 15), 0.5)}, "its edges_in_graph must hold yes and no"),
        ({"edges_in_graph": torch.full((7, 15), float("nan"))}, "its edges_in_graph must hold yes and no"),
        ({"edges_in_graph": 1}, "its edges_in_graph must be a tensor, not 1"),
        ({"nodes_in_graph": torch.ones(6).bool()}, "its nodes_in_graph has the shape 6, but its cfg needs 7"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, changes, says):
    refused(CircuitFileError, says, write_pt(tmp_path / "c.pt", CFG, EDGES, **changes))


def test_other_precisions_and_marks_as_numbers_are_read(tmp_path):
    marked = torch.load(write_pt(tmp_path / "c.pt", CFG, EDGES), weights_only=True)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        scores = marked["edges_scores"].to(dtype).requires_grad_()
        path = write_pt(
            tmp_path / "c.pt", CFG, EDGES, edges_scores=scores, edges_in_graph=marked["edges_in_graph"].float()
        )
        circuit = open_circuit(path)
        assert names(circuit) == set(KEPT)
        assert circuit.scores[GRAPH.edge("m1->logits").number] == scores[-1, -1].item()


def test_damaged_bytes_never_give_a_traceback(tmp_path):
    good = write_pt(tmp_path / "good.pt", CFG, EDGES).read_bytes()
    rng = np.random.default_rng(0)
    opened = 0
    for _ in range(150):
        content = bytearray(good)
        for at in rng.integers(0, len(good), 3):
            content[at] = rng.integers(256)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                open_circuit(text(tmp_path / "c.pt", bytes(content)))
            opened += 1
        except AcdcError:
            pass
    assert opened < 150


def test_a_million_edges_open_in_seconds(tmp_path):
    cfg = {"n_layers": 24, "n_heads": 14, "parallel_attn_mlp": False, "d_model": 896}  # Qwen2.5-0.5B
    sources, slots = names_of(cfg)
    scores = torch.randn(len(sources), len(slots), generator=torch.Generator().manual_seed(0))
    data = {"cfg": cfg, "src_nodes": sources, "dst_nodes": [slot for slot, _ in slots], "edges_scores": scores}
    torch.save(data, tmp_path / "c.pt")
    circuit = open_circuit(tmp_path / "c.pt", selection=Top(20_000))
    assert circuit.graph.n_edges == 179_749
    assert 0 < circuit.n_edges <= 20_000

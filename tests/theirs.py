"""Files of another tool's circuit, and what becomes of opening them."""

import json

import pytest
from eap_ig_reader import all_edges, names_of

from acdc import Graph
from acdc.interchange import open_circuit

CFG = {"n_layers": 2, "n_heads": 2, "parallel_attn_mlp": False, "d_model": 8}
GRAPH = Graph.from_config(2, 2, 8)
KEPT = ("input->a0.h1<q>", "input->a0.h1<k>", "a0.h1->m1", "m1->logits")
#: Every edge has a score of its own; the kept ones are the strongest.
EDGES = {name: (float(100 + i if name in KEPT else i + 1) / 128, name in KEPT) for i, name in enumerate(all_edges(CFG))}
UNMARKED = {name: (score, False) for name, (score, _) in EDGES.items()}


def write_json(path, edges=EDGES, cfg=CFG, nodes=None):
    """A file as EAP-IG writes it; `edges` are a score and whether it is kept, by name."""
    data = {
        "cfg": cfg,
        "nodes": nodes or {name: {"in_graph": True} for name in names_of(CFG)[0]},
        "edges": {name: {"score": score, "in_graph": kept} for name, (score, kept) in edges.items()},
    }
    path.write_text(json.dumps(data))
    return path


def names(circuit):
    return {edge.name for edge in circuit}


def text(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(kind, says, *args, **options):
    with pytest.raises(kind, match=says) as error:
        open_circuit(*args, **options)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 2100
    return str(error.value)

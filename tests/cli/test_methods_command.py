"""``acdc methods`` lists what the registry holds, with papers and costs."""

import json
from dataclasses import fields

from acdc.graph import Graph
from acdc.methods import METHODS


def test_every_method_with_its_paper_and_cost_at_80_columns(call):
    code, out, err = call("methods")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    names = [line.split()[0] for line in out.splitlines()[2:] if line[0] not in " *"]
    assert [name for name in names if name in METHODS] == list(METHODS)
    words = " ".join(out.split())
    assert "Edin et al. 2025, arXiv 2505.17630" in words
    assert "eap-ig-activations The gradient at each slot averaged while one <= 943 + 785 node's" in words
    assert ":mod:" not in out  # a summary is for readers, not for Sphinx


def test_as_json_with_every_option(call):
    code, out, _ = call("methods", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [row["name"] for row in rows] == list(METHODS)
    graph = Graph.from_config(n_layers=12, n_heads=12)
    for row in rows:
        kind = METHODS[row["name"]]
        assert [one["name"] for one in row["options"]] == [one.name for one in fields(kind)]
        assert row["source"] == kind.source
        assert row["decides"] is kind.decides
        assert row["summary"].endswith(".")
        assert row["cost_on_gpt2_small"] == kind().cost(graph).to_json()

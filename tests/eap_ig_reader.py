"""A reader of EAP-IG's files that knows nothing of acdc: edges by their names in JSON, by their places in ``.pt``."""

import json

import torch


class Unreadable(Exception):
    """What EAP-IG would stop at."""


def names_of(cfg):
    """Sources, and slots with the number of sources that write before each, as EAP-IG lays them out."""
    sources, slots = ["input"], []
    for layer in range(cfg["n_layers"]):
        before = len(sources)
        heads = [f"a{layer}.h{head}" for head in range(cfg["n_heads"])]
        slots += [(f"{head}<{letter}>", before) for letter in "qkv" for head in heads]
        sources += heads
        slots.append((f"m{layer}", before if cfg["parallel_attn_mlp"] else len(sources)))
        sources.append(f"m{layer}")
    return sources, [*slots, ("logits", len(sources))]


def all_edges(cfg):
    sources, slots = names_of(cfg)
    return {f"{source}->{slot}": (0.0, False) for slot, before in slots for source in sources[:before]}


def read_json(path):
    """Score in single precision and whether it is kept, by edge, and the nodes kept."""

    def refuse(constant):
        raise Unreadable(f"{constant} isn't JSON")

    data = json.loads(path.read_text(), parse_constant=refuse)
    edges = all_edges(data["cfg"])
    sources, _ = names_of(data["cfg"])
    nodes = set()
    for name, node in data["nodes"].items():
        if name != "logits" and name not in sources:
            raise Unreadable(f"no node {name}")
        if node["in_graph"]:
            nodes.add(name)
    for name, edge in data["edges"].items():
        if name not in edges:
            raise Unreadable(f"no edge {name}")
        edges[name] = (torch.tensor(edge["score"], dtype=torch.float32).item(), edge["in_graph"])
    return edges, nodes


def read_pt(path):
    """The same from a ``.pt`` file."""
    data = torch.load(path, weights_only=True)
    if missing := {"cfg", "src_nodes", "dst_nodes", "edges_scores", "edges_in_graph", "nodes_in_graph"} - data.keys():
        raise Unreadable(f"it lacks {missing}")
    sources, slots = names_of(data["cfg"])
    shape = len(sources), len(slots)
    if data["edges_scores"].shape != shape or data["edges_in_graph"].shape != shape:
        raise Unreadable("bad shape")
    if data["edges_scores"].dtype != torch.float32 or data["edges_in_graph"].dtype != torch.bool:
        raise Unreadable("bad type")
    edges, seen = {}, torch.zeros(shape, dtype=torch.bool)
    for column, (slot, before) in enumerate(slots):
        for row, source in enumerate(sources[:before]):
            seen[row, column] = True
            at = row, column
            edges[f"{source}->{slot}"] = (data["edges_scores"][at].item(), data["edges_in_graph"][at].item())
    if data["edges_in_graph"][~seen].any():
        raise Unreadable("cells that are no edges are kept")
    nodes = {name for name, kept in zip(sources, data["nodes_in_graph"].tolist(), strict=True) if kept}
    return edges, nodes


def write_pt(path, shape, edges, **changes):
    """A file as EAP-IG writes it, of a model's shape; `edges` are a score and whether it is kept, by name."""
    sources, slots = names_of(shape)
    scores, in_graph = torch.zeros(len(sources), len(slots)), torch.zeros(len(sources), len(slots)).bool()
    for column, (slot, before) in enumerate(slots):
        for row, source in enumerate(sources[:before]):
            scores[row, column], in_graph[row, column] = edges.get(f"{source}->{slot}", (0.0, False))
    data = {
        "cfg": shape,
        "src_nodes": sources,
        "dst_nodes": [slot for slot, _ in slots],
        "edges_scores": scores,
        "edges_in_graph": in_graph,
        "nodes_in_graph": in_graph.any(dim=1),
    }
    data.update(changes)
    torch.save({key: value for key, value in data.items() if value is not None}, path)
    return path

"""EAP-IG on a model and prompts from files: scores by the clock, or what it says of nodes beside brute force.

    python peer_eap_ig.py JOB.json

``peers.py`` runs it in the peers' environment.

The job names ``sources`` (the folder with the package ``eap``), ``model`` (a GPT-2 as a Hugging Face
folder), ``dtype``, ``prompts`` (a JSONL file of token pairs of one length with a right and a wrong
answer), ``threads`` and ``result``, the file to write; and either ``methods`` (EAP-IG's names of them, with
their ``ig_steps`` or null) and ``repeats``, or ``nodes``, the steps of its integral over activations. Standard
output has a line "time" whenever something is done. Of acdc nothing is needed here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

sys.path.append(str(Path(__file__).parent))  # behind all that is installed, so that it hides nothing

from peer_autocircuit import open_model, read_prompts
from peer_clock import measured

VERSIONS_OF = ("transformer-lens", "torch", "numpy")
#: A step of central differences, as a share of the change: its square and float64's rounding are both far away.
EPSILON = 1e-4


def main(job: dict[str, Any]) -> None:
    """Do the job and write its result."""
    torch.set_num_threads(job["threads"])
    peer = Peer(job)
    result: dict[str, Any] = {"versions": {name: version(name) for name in VERSIONS_OF}, "logits": peer.logits.tolist()}
    if "nodes" in job:
        result["nodes"] = {
            "patched": peer.by_hooks(peer.patched),
            "slope": peer.by_hooks(peer.slope),
            "exact": peer.exact(),
            "activations": peer.activations(job["nodes"]),
            "node-level EAP": peer.node_level("EAP"),
        }
    else:
        result["methods"] = {name: peer.edges(name, steps, job["repeats"]) for name, steps in job["methods"].items()}
    Path(job["result"]).write_text(json.dumps(result))


class Peer:
    """EAP-IG on one model and one batch of prompts.

    Attributes:
        logits: the model's on the clean prompts, ``[prompt, vocab]``.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        attribute, attribute_node, evaluate, graph = _modules(Path(job["sources"]))
        for module in (attribute, attribute_node, evaluate):
            module.tokenize_plus = _tokens_as_they_are
        self._graph, self._attribute = graph.Graph, attribute.attribute
        self._attribute_node = attribute_node.attribute_node
        self._model = open_model(Path(job["model"]), getattr(torch, job["dtype"]))
        self._clean, self._corrupted = read_prompts(Path(job["prompts"]))
        rows = [json.loads(line) for line in Path(job["prompts"]).read_text().splitlines()]
        self._answers = torch.tensor([[row["answer_token"], row["wrong_answer_token"]] for row in rows])
        self._batches = [(self._clean, self._corrupted, self._answers)]
        with torch.inference_mode():
            self.logits = self._model(self._clean)[:, -1]

    def edges(self, method: str, steps: int | None, repeats: int) -> dict[str, Any]:
        """Scores of all edges by name, and what they took."""
        forget = self._model.zero_grad  # gradients of all weights, which it lets be made
        graph, took = measured(lambda: self._attributed(method, steps), repeats, forget)
        return {"scores": {name: float(edge.score) for name, edge in graph.edges.items()}, **took}

    def activations(self, steps: int) -> dict[str, float]:
        """What its integral over activations gives the edges out of each node, summed."""
        graph = self._attributed("EAP-IG-activations", steps)
        _done()
        return {node: sum(float(edge.score) for edge in graph.nodes[node].child_edges) for node in self._sources(graph)}

    def node_level(self, method: str) -> dict[str, float]:
        """What it gives nodes themselves."""
        graph = self._graph.from_model(self._model, node_scores=True)
        self._attribute_node(self._model, graph, self._batches, self._metric, method, quiet=True)
        _done()
        return {node: float(graph.nodes[node].score) for node in self._sources(graph)}

    def exact(self) -> dict[str, float]:
        """What it gives nodes by patching them one after the other."""
        graph = self._graph.from_model(self._model, node_scores=True)
        with suppress(IndexError):  # at the logits, which have no score, when all others have one
            self._attribute_node(self._model, graph, self._batches, self._metric, "exact", quiet=True)
        _done()
        return {node: float(graph.nodes[node].score) for node in self._sources(graph)}

    def by_hooks(self, of: Callable[[str, Callable[[float], float]], float]) -> dict[str, float]:
        """By brute force: from the metric with a share of a node's change added to what it writes, to a number.

        Args:
            of: :meth:`patched` or :meth:`slope`.
        """
        nodes = self._sources(self._graph.from_model(self._model))
        _, clean = self._model.run_with_cache(self._clean)
        _, corrupted = self._model.run_with_cache(self._corrupted)
        found = {}
        for node in nodes:
            place, head = _place(node)
            change = corrupted[place] - clean[place]

            def metric_at(share: float, place: str = place, head: Any = head, change: torch.Tensor = change) -> float:
                def add(written: torch.Tensor, hook: Any) -> torch.Tensor:
                    written = written.clone()
                    written[head] += share * change[head]
                    return written

                with torch.inference_mode():
                    return float(self._at_last(self._model.run_with_hooks(self._clean, fwd_hooks=[(place, add)])))

            found[node] = of(node, metric_at)
        _done()
        return found

    @staticmethod
    def patched(node: str, metric_at: Callable[[float], float]) -> float:
        """What patching the node costs."""
        return metric_at(1.0) - metric_at(0.0)

    @staticmethod
    def slope(node: str, metric_at: Callable[[float], float]) -> float:
        """The slope with which that begins."""
        return (metric_at(EPSILON) - metric_at(-EPSILON)) / (2 * EPSILON)

    def _attributed(self, method: str, steps: int | None) -> Any:
        graph = self._graph.from_model(self._model)
        self._attribute(self._model, graph, self._batches, self._metric, method, ig_steps=steps, quiet=True)
        return graph

    def _metric(self, logits: torch.Tensor, *others: Any) -> torch.Tensor:
        return self._at_last(logits)

    def _at_last(self, logits: torch.Tensor) -> torch.Tensor:
        """Minus the logit difference at the last position, averaged over the prompts."""
        right, wrong = logits[:, -1].gather(1, self._answers).T
        return (wrong - right).mean()

    @staticmethod
    def _sources(graph: Any) -> list[str]:
        return [name for name in graph.nodes if name != "logits"]


def _modules(sources: Path) -> list[Any]:
    """EAP-IG's modules, with something in the place of what it only draws with, where that isn't there."""
    import transformer_lens  # noqa: F401  it and what it needs look for matplotlib, and aren't to find what isn't there

    sys.path.insert(0, str(sources))
    drawing = [] if find_spec("matplotlib") else ["matplotlib", "matplotlib.cm"]
    sys.modules.update({name: ModuleType(name) for name in drawing})
    modules = [import_module(f"eap.{name}") for name in ("attribute", "attribute_node", "evaluate", "graph")]
    for name in drawing:
        del sys.modules[name]
    return modules


def _tokens_as_they_are(model: Any, inputs: torch.Tensor, max_length: int | None = None) -> tuple[Any, ...]:
    """What EAP-IG makes of strings, of tokens: with an attention mask, lengths, and the number of positions."""
    n, length = inputs.shape
    return inputs, torch.ones_like(inputs), torch.full((n,), length), length


def _place(node: str) -> tuple[str, Any]:
    """Where TransformerLens has what a node writes: the hook's name, and the part that is the node's."""
    if node == "input":
        return "hook_embed", ...
    if node.startswith("m"):
        return f"blocks.{node[1:]}.hook_mlp_out", ...
    layer, head = node[1:].split(".h")
    return f"blocks.{layer}.attn.hook_result", (slice(None), slice(None), int(head))


def _done() -> None:
    print("time", flush=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))

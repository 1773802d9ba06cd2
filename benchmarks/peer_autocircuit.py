"""AutoCircuit's ACDC on a model and prompts from files, by the clock.

    python peer_autocircuit.py JOB.json

``peers.py`` runs it in AutoCircuit's environment.

The job names ``model`` (a GPT-2 as a Hugging Face folder), ``prompts`` (a JSONL file of token pairs
of one length), ``threshold``, ``threads``, ``runs`` (for each, by name, the edges to try in their
order, or null for all edges in AutoCircuit's own) and ``result``, the file to write. Standard
output has a line "edge" for each that is tried. Of acdc nothing is needed here.
"""

from __future__ import annotations

import json
import math
import re
import sys
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

#: AutoCircuit's names of nodes and slots, and the field's.
NAMES = {
    r"Resid Start": r"input",
    r"Resid End": r"logits",
    r"MLP (\d+)": r"m\1",
    r"A(\d+)\.(\d+)": r"a\1.h\2",
    r"A(\d+)\.(\d+)\.([QKV])": r"a\1.h\2<\3>",
}
VERSIONS_OF = ("auto-circuit", "transformer-lens", "torch", "numpy")


def main(job: dict[str, Any]) -> None:
    """Do the job and write its result."""
    torch.set_num_threads(job["threads"])
    clean, corrupted = read_prompts(Path(job["prompts"]))
    model = open_model(Path(job["model"]))
    with torch.inference_mode():
        logits = model(clean)[:, -1]
    pruner = Pruner(model, clean, corrupted, job["threshold"])
    result = {
        "versions": {name: version(name) for name in VERSIONS_OF},
        "edges": sorted(pruner.edges),
        "logits": logits.tolist(),
        "runs": {name: pruner.run(order) for name, order in job["runs"].items()},
    }
    Path(job["result"]).write_text(json.dumps(result))


def read_prompts(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Clean and corrupted token ids, ``[prompt, position]`` each."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return torch.tensor([row["clean_tokens"] for row in rows]), torch.tensor([row["corrupted_tokens"] for row in rows])


def open_model(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """A GPT-2 from disk as a HookedTransformer, its weights as they are (nothing folded or centred)."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
    from transformers import GPT2LMHeadModel

    source = GPT2LMHeadModel.from_pretrained(folder, local_files_only=True, dtype=dtype)
    theirs = source.config
    config = HookedTransformerConfig(
        n_layers=theirs.n_layer,
        n_heads=theirs.n_head,
        d_model=theirs.n_embd,
        d_head=theirs.n_embd // theirs.n_head,
        d_mlp=4 * theirs.n_embd,
        d_vocab=theirs.vocab_size,
        n_ctx=theirs.n_positions,
        eps=theirs.layer_norm_epsilon,
        act_fn=theirs.activation_function,
        normalization_type="LN",
        dtype=dtype,
        # What AutoCircuit and EAP-IG need to tell edges apart.
        use_attn_result=True,
        use_split_qkv_input=True,
        use_hook_mlp_in=True,
        device="cpu",
    )
    with torch.no_grad():
        model = HookedTransformer(config)
        weights = convert_gpt2_weights(source, config)
        missing, unknown = model.load_state_dict(weights, strict=False)
    # Masks and caches are no weights, and GPT-2 has no unembedding bias.
    lost = [name for name in missing if not name.endswith((".mask", ".IGNORE")) and name != "unembed.b_U"]
    if lost or unknown:
        raise SystemExit(f"TransformerLens took other weights than the folder has: {[*lost, *unknown][:3]}")
    return model.eval()


def renamed(name: str) -> str:
    """AutoCircuit's name of a node or slot in the field's terms."""
    for pattern, replacement in NAMES.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement).lower()
    raise SystemExit(f"AutoCircuit has a node {name!r} that this script doesn't know")


class Pruner:
    """AutoCircuit's ACDC on one model and one batch of prompts.

    Attributes:
        edges: its edges by their name in the field's terms.
    """

    def __init__(self, model: Any, clean: torch.Tensor, corrupted: torch.Tensor, threshold: float) -> None:
        from auto_circuit.data import PromptDataLoader, PromptDataset  # type: ignore[import-not-found]
        from auto_circuit.utils.graph_utils import patchable_model  # type: ignore[import-not-found]

        # ACDC reads no answers, but a dataset has some.
        answers = [torch.zeros(1, dtype=torch.long)] * len(clean)
        self._prompts = PromptDataLoader(
            PromptDataset(clean, corrupted, answers, answers),
            seq_len=clean.shape[1],
            diverge_idx=0,
            batch_size=len(clean),
            shuffle=False,
        )
        self._model = patchable_model(model, factorized=True, slice_output="last_seq", separate_qkv=True)
        self._all = self._model.edges
        self._threshold = threshold
        self.edges = {f"{renamed(edge.src.name)}->{renamed(edge.dest.name)}": edge for edge in self._all}

    def run(self, order: list[str] | None) -> dict[str, Any]:
        """Run it once.

        Args:
            order: the edges to try; it sorts them by the layer of their slot from the top, and
                leaves those of a layer as they come. ``None``: all, in its own order.

        Returns:
            ``setup``: CPU and wall seconds before the first edge; ``edges``: for each edge
            tried, the block where its patched run starts, and its CPU and wall seconds;
            ``kept``: names.
        """
        from auto_circuit.prune_algos.ACDC import acdc_prune_scores  # type: ignore[import-not-found]

        model = self._model
        model.edges = self._all if order is None else [self.edges[name] for name in order]
        blocks: list[int] = []
        clock: list[tuple[float, float]] = []
        forward = model.forward

        def timed(*args: Any, **kwargs: Any) -> Any:
            # Only the patched run of an edge starts in the middle of the model.
            if "start_at_layer" in kwargs:
                blocks.append(kwargs["start_at_layer"])
                clock.append(_now())
                print("edge", flush=True)
            return forward(*args, **kwargs)

        model.forward = timed
        try:
            begin = _now()
            scores = acdc_prune_scores(model, self._prompts, None, tao_exps=[0], tao_bases=[self._threshold])
            clock.append(_now())
        finally:
            model.forward = forward
        tried = set(model.edges)
        return {
            "setup": _between(begin, clock[0]),
            "edges": [[block, *_between(*at)] for block, at in zip(blocks, pairwise(clock), strict=True)],
            # What it removed has the threshold as score; the rest keeps the score it began with.
            "kept": sorted(
                name for name, edge in self.edges.items() if edge in tried and math.isinf(edge.prune_score(scores))
            ),
        }


def _now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def _between(begin: tuple[float, float], end: tuple[float, float]) -> list[float]:
    return [end[0] - begin[0], end[1] - begin[1]]


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))

"""What plots of several looks share. Nothing here imports torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from acdc.graph import Graph

_CELL, _MARGIN = 0.26, 1.3  # inches
#: Diverging, and told apart without seeing red and green.
COLOURS = "RdBu_r"


def node_map(plt: Any, graph: Graph, values: np.ndarray, title: str, label: str) -> Any:
    """A number for each node as a map: layers upwards, heads across, MLPs and the input in columns of their own.

    Args:
        plt: ``matplotlib.pyplot``.
        graph: the nodes.
        values: ``[n_sources]``.
        title: above the map.
        label: of the colours.
    """
    cfg = graph.cfg
    columns = [str(head) for head in range(cfg.n_heads)] + ([] if cfg.attn_only else ["MLP"])
    grid = np.full((cfg.n_layers, len(columns)), np.nan)
    rest = []
    for node, value in zip(graph.sources, values, strict=True):
        if node.layer is None:
            rest.append(f"{node.name} {value:+.3g}")
        else:
            grid[node.layer, node.head if node.head is not None else -1] = value
    most = np.nanmax(np.abs(grid), initial=0.0) or 1.0
    size = (_CELL * len(columns) + 2 * _MARGIN, _CELL * cfg.n_layers + _MARGIN)
    figure, axes = plt.subplots(figsize=(max(size[0], 4.0), max(size[1], 2.2)))
    axes.grid(False)
    image = axes.imshow(grid, cmap=COLOURS, vmin=-most, vmax=most, origin="lower", aspect="auto")
    axes.set_xticks(range(len(columns)), columns, fontsize=6)
    axes.set_yticks(range(cfg.n_layers))
    axes.set_xlabel("head")
    axes.set_ylabel("layer")
    axes.set_title(f"{title}\n{', '.join(rest)}", fontsize=8)
    figure.colorbar(image, ax=axes, label=label)
    figure.tight_layout()
    return figure

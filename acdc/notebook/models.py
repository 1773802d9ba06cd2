"""Models, and models on prompts, as notebooks show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from acdc.notebook.markup import Cell, Markup, heading, page, paragraph, table
from acdc.notebook.prompts import prompts_parts
from acdc.wording import counted

if TYPE_CHECKING:
    from acdc.engine.setting import Setting
    from acdc.models.model import Model

_KEY = (
    "In Python, with "
    "_, cache = bridge.run_with_cache(tokens) and bridge = model.bridge; l is a layer, h a head, g its group of keys "
    "and values. model.nodes() names every one."
)


def model_form(model: Model) -> str:
    """A model's shape, and what each of its nodes is in TransformerLens' terms."""
    rows: list[list[Cell | Markup]] = [[one.name, one.does, one.code, one.equation] for one in model.node_kinds]
    columns = ("node or slot", "", "in TransformerLens", "equation")
    return page(heading(model.name), *_shape(model), table(columns, rows), paragraph(_KEY))


def setting_form(setting: Setting) -> str:
    """A model on prompts."""
    n = counted(len(setting.rows), "prediction")
    return page(
        heading(f"{setting.prompts.task} on {setting.model.name}"),
        paragraph(f"{n}; removed edges carry: {setting.ablation}. {setting.graph.n_edges:,} edges in all."),
        *prompts_parts(setting.prompts),
    )


def _shape(model: Model) -> list[Markup | None]:
    cfg = model.graph_config
    blocks = "no MLPs" if cfg.attn_only else "parallel blocks" if cfg.parallel_attn_mlp else "MLPs behind attention"
    said = [f"{counted(cfg.n_layers, 'layer')} of {counted(cfg.n_heads, 'head')}, {blocks}, d_model {cfg.d_model}"]
    said += [f"{model.dtype} on {model.device}", f"{cfg.n_nodes:,} nodes, {cfg.n_edges:,} edges"]
    if model.tied_heads:
        said.append("heads of a layer share a norm behind their sum")
    return [paragraph(f"{'; '.join(said)}.")]

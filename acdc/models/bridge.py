"""All that acdc reads from a TransformerLens 4 bridge, in one place.

Bridges differ between architectures in ways that no documentation lists, and their
insides may change between releases. Everything that relies on them is here, and what
is read is proved by the self-check when a model is opened.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from acdc.errors import ModelError, SettingsError
from acdc.models.attention import Attention, PositionTable
from acdc.models.latent import is_latent, read_latent
from acdc.models.mlp import MlpReader, NormedMlp
from acdc.models.mlp_parts import RuledMlp, read_parts
from acdc.models.norms import Norm, read_norm
from acdc.models.positions import forget_lengths, read_table, share
from acdc.models.products import quick_modules
from acdc.models.readout import Readout, read_readout
from acdc.models.rules import NO_RULES, BackwardRules, with_bias_weight
from acdc.models.scores import clip, score_scale, sinks, soft_cap
from acdc.models.tokens import Tokens
from acdc.models.unknown import check_parts

#: Settings that say where or by what a model was loaded, not what it computes.
_NOT_IDENTITY = {
    "_name_or_path",
    "transformers_version",
    "architectures",
    "dtype",
    "torch_dtype",
    "use_cache",
    "device",
}
_NOT_IDENTITY |= {"model_name", "tokenizer_name", "n_devices", "original_architecture", "init_weights", "seed"}


def _raw(component: Any) -> Any:
    """The model's own module under a bridge component."""
    return None if component is None else component.original_component


class BridgeReader:
    """Reads weights, positions, embeddings and logits of one bridged model.

    Attributes:
        bridge: the bridge, in evaluation mode.
        n_layers, n_heads, d_model, vocab_size, n_outputs: the model's shape.
        n_ctx: longest prompt, or ``None`` where there is no limit.
        parallel: MLPs read what their block's attention reads.
        attn_only: there are no MLPs.
        causal: a position sees itself and those before it only.
    """

    def __init__(self, bridge: Any) -> None:
        """Look at a bridge.

        Raises:
            ModelError: the model has a part that acdc doesn't know.
        """
        self.bridge = bridge.eval()
        check_parts(bridge)
        cfg = bridge.cfg
        self.blocks = list(bridge.blocks)
        self.n_layers, self.n_heads, self.d_model = int(cfg.n_layers), int(cfg.n_heads), int(cfg.d_model)
        self.n_ctx = int(cfg.n_ctx) if getattr(cfg, "n_ctx", None) else None
        self.parallel = bool(getattr(cfg, "parallel_attn_mlp", False))
        self.attn_only = all(block._modules.get("mlp") is None for block in self.blocks)
        self.causal = getattr(cfg, "attention_dir", "causal") == "causal"
        self.vocab_size = int(_raw(bridge.embed).weight.shape[0])
        self.n_outputs = int(_raw(bridge.unembed).weight.shape[0])
        self._norms: dict[tuple[int, str], Norm] = {}
        self._attentions: dict[int, Attention] = {}
        self._mlps = MlpReader()
        self.is_hugging_face = hasattr(bridge.original_model, "config")

    @property
    def has_position_embedding(self) -> bool:
        """Whether learned position embeddings are added to the token embeddings."""
        return self.bridge._modules.get("pos_embed") is not None

    def sha256(self) -> str:
        """A hash of what the model computes with: its configuration and all parameters, in the order of their names."""
        cfg = self.bridge.original_model.config.to_dict() if self.is_hugging_face else vars(self.bridge.cfg)
        settings = {name: repr(value) for name, value in cfg.items() if name not in _NOT_IDENTITY}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name, parameter in sorted(self.bridge.original_model.named_parameters()):
            digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
            digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy())
        return digest.hexdigest()

    def attention(self, layer: int) -> Attention:
        """One layer's attention weights; see :class:`Attention` for shapes."""
        if layer not in self._attentions:
            self._attentions[layer] = self._read_attention(layer)
        return self._attentions[layer]

    def _read_attention(self, layer: int) -> Attention:
        block = self.blocks[layer]
        bridge, own = block.attn, _raw(block.attn)
        if is_latent(own):
            weights = read_latent(own, self.n_heads, f"blocks.{layer}.attn")
        else:
            weights = {name: getattr(bridge, name) for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")}
            weights = {name: None if value is None else value.detach() for name, value in weights.items()}
        d_head = weights["W_Q"].shape[-1]

        def qk_norm(name: str) -> Norm:
            module = _raw(bridge._modules.get(name))
            if module is None:  # Llama 4 has one for both, which no bridge gives
                module = getattr(own, "qk_norm", None)
            weight = getattr(module, "weight", None)
            return read_norm(module, d_head if weight is None else weight.shape[-1], f"blocks.{layer}.attn.{name}")

        return Attention(
            norm=self._norm(layer, "ln1"),
            post_norm=self._norm(layer, "ln1_post"),
            scale=score_scale(own, d_head),
            soft_cap=soft_cap(own),
            multiplier=self._multiplier(layer),
            q_norm=qk_norm("q_norm"),
            k_norm=qk_norm("k_norm"),
            clip=clip(own),
            sinks=sinks(own),
            **weights,
        )

    def mlp(self, layer: int, x: Tensor) -> Tensor:
        """What the MLP adds to the residual stream, given its residual input, ``[batch, pos, d_model]``."""
        with quick_modules(x.numel() // self.d_model, self.d_model):
            inside = self._inside(layer, self._mlp_norm(layer)(x))
        y = self._norm(layer, "ln2_post")(inside)
        multiplier = self._multiplier(layer)
        return y if multiplier == 1.0 else multiplier * y

    def _inside(self, layer: int, x: Tensor) -> Tensor:
        """The MLP between its norms."""
        block = self.blocks[layer]
        module = block.mlp
        if module.name is None:  # OPT: the MLP's parts lie in the block itself
            return _raw(module.out)(_raw(block).activation_fn(_raw(getattr(module, "in"))(x)))
        return self._run_mlp(module, x)

    def ruled_mlp(self, layer: int, rules: BackwardRules, instead: str) -> RuledMlp:
        """The MLP with its norms and a way back by rules; see :meth:`acdc.models.model.Model.with_rules`."""
        parts, inside = None, partial(self._inside, layer)
        if rules.changes_mlps:
            block = self.blocks[layer]
            owner = _raw(block if block.mlp.name is None else block.mlp)
            parts = read_parts(block.mlp, owner, inside, self.d_model)
            if parts is None:
                raise SettingsError(
                    f"the MLP of layer {layer} ({type(owner).__name__}) is a mixture of experts, or of another make "
                    f"than linear maps around one activation, and no rule can be followed inside of it; {instead}."
                )
        before, after = (norm.with_rules(rules) for norm in (self._mlp_norm(layer), self._norm(layer, "ln2_post")))
        return RuledMlp(before, inside, parts, after, self._multiplier(layer), rules)

    @staticmethod
    def _run_mlp(module: Any, x: Tensor) -> Tensor:
        """An MLP's own module on normed inputs, without the residual that some add themselves (Bloom, MPT)."""
        if _adds_residual(_raw(module).__class__):
            return _first(module(x, torch.zeros_like(x)))
        return _first(module(x)).view(x.shape)  # Llama 4's experts give [batch * pos, d_model]

    def plain_mlp(self, layer: int) -> NormedMlp | None:
        """The MLP with its norms, where it's no more than weights and an activation."""
        block = self.blocks[layer]
        if block.mlp.name is None:
            return None
        plain = self._mlps.read(layer, block.mlp, lambda x: self._run_mlp(block.mlp, x), self.d_model)
        if plain is None:
            return None
        return NormedMlp(self._mlp_norm(layer), plain, self._norm(layer, "ln2_post"), self._multiplier(layer))

    def readout(self) -> Readout | None:
        """How the normed last residual becomes logits, where that is linear up to a soft cap."""
        transform = self.bridge.adapter.apply_output_logits_transform if self.is_hugging_face else None
        return read_readout(_raw(self.bridge.unembed), transform)

    def dead_tokens(self) -> Tensor | None:
        """Tokens whose logit is minus infinity whatever is unembedded, ``[n_outputs]`` bool, if there are any."""
        weight = _raw(self.bridge.unembed).weight
        probe = torch.randn(4, self.d_model, generator=torch.Generator().manual_seed(0)).to(weight)
        with torch.no_grad():
            dead = (self.unembed(probe) == -torch.inf).all(0)
        return dead if bool(dead.any()) else None

    def final_norm(self) -> Norm:
        """The norm in front of the unembedding."""
        return read_norm(_raw(self.bridge._modules.get("ln_final")), self.d_model, "ln_final")

    def unembed(self, x: Tensor, rules: BackwardRules = NO_RULES, bias_weight: Tensor | None = None) -> Tensor:
        """Logits from the normed last residual, with the model's own scaling and soft cap.

        Args:
            x: ``[..., d_model]``.
            rules: what the way back does otherwise than the gradient.
            bias_weight: what the bias is multiplied by.
        """
        module = _raw(self.bridge.unembed)
        with quick_modules(x.numel() // self.d_model, self.d_model):
            logits = module(x)
        logits = with_bias_weight(logits, getattr(module, "bias", None), bias_weight)
        if self.is_hugging_face:
            logits = rules.elementwise(self.bridge.adapter.apply_output_logits_transform, logits)
        return logits

    def position_embedding(self, length: int) -> Tensor:
        """Learned position embeddings, ``[pos, d_model]``."""
        ids = torch.zeros(1, length, dtype=torch.long, device=self._device)
        _, cache = self._run_with_cache(ids, ["pos_embed.hook_out", "hook_pos_embed"])
        return next(iter(cache.values()))[0]

    def logits(self, tokens: Tokens) -> Tensor:
        """The model's own logits, ``[batch, pos, n_outputs]``; 0 behind a prompt's end."""
        return _by_length(tokens, lambda ids: self._run_with_cache(ids, [])[0])

    def logits_at(self, ids: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """The same of prompts of one length, ``[batch, pos]``, where only some of the positions are unembedded.

        Args:
            ids: the prompts.
            rows: prompt of each position.
            columns: where it is in the prompt.

        Returns:
            ``[position, n_outputs]``
        """
        picked: list[torch.Size] = []

        def pick(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            if not args or args[0].shape[:2] != ids.shape:
                return None
            picked.append(ids.shape)
            return (args[0][rows, columns][:, None], *args[1:])

        hook = _raw(self.bridge.unembed).register_forward_pre_hook(pick)
        try:
            logits = self._run_with_cache(ids, [])[0]
        finally:
            hook.remove()
        return logits[:, 0] if picked else logits[rows, columns]

    def embed(self, tokens: Tokens) -> Tensor:
        """The residual stream in front of the first block, ``[batch, pos, d_model]``; 0 behind a prompt's end.

        The model runs no further than that.
        """
        return _by_length(tokens, self._first_residual)

    def _first_residual(self, ids: Tensor) -> Tensor:
        def stop(module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> None:
            raise _Reached(args[0] if args else kwargs["hidden_states"])

        hook = self.blocks[0].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self._run_with_cache(ids, [])
        except _Reached as reached:
            return reached.residual
        finally:
            hook.remove()
        raise ModelError("the first block of the model never ran; please report it.")

    def position_tables(self, length: int) -> list[PositionTable]:
        """What every layer does with positions, as the model itself does it on a prompt of that length.

        Raises:
            ModelError: what it does is known to be wrong.
        """
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {}) for _ in self.blocks]

        def remember(layer: int) -> Any:
            def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                calls[layer] = args, kwargs
                if layer == self.n_layers - 1:
                    raise _Seen

            return hook

        hooks = [
            block.attn.register_forward_pre_hook(remember(layer), with_kwargs=True)
            for layer, block in enumerate(self.blocks)
        ]
        try:
            with suppress(_Seen):  # what is behind takes time
                self._run_with_cache(torch.zeros(1, length, dtype=torch.long, device=self._device), [])
        finally:
            for hook in hooks:
                hook.remove()
        tables = [
            read_table(self.attention(layer), _raw(block.attn), *calls[layer], length, causal=self.causal)
            for layer, block in enumerate(self.blocks)
        ]
        return share(tables)

    def _norm(self, layer: int, name: str) -> Norm:
        key = (layer, name)
        if key not in self._norms:
            module = _raw(self.blocks[layer]._modules.get(name))
            self._norms[key] = read_norm(module, self.d_model, f"blocks.{layer}.{name}")
        return self._norms[key]

    def _mlp_norm(self, layer: int) -> Norm:
        shared = self.parallel and self.blocks[layer]._modules.get("ln2") is None
        return self._norm(layer, "ln1" if shared else "ln2")

    def _multiplier(self, layer: int) -> float:
        return float(getattr(self.blocks[layer], "residual_contribution_scale", 1.0))

    def layer_by_layer(self, ids: Tensor) -> list[dict[str, Tensor]]:
        """What goes in and out of each layer of the model on prompts of one length, ``[batch, pos, d_model]`` each.

        Returns:
            For each layer ``block in``, ``attention in``, ``attention out`` and ``block out``.
        """
        seen: list[dict[str, Tensor]] = [{} for _ in self.blocks]

        def note(layer: int, part: str) -> Any:
            def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
                seen[layer][f"{part} in"] = args[0] if args else kwargs["hidden_states"]
                seen[layer][f"{part} out"] = _first(output)

            return hook

        hooks = []
        for layer, block in enumerate(self.blocks):
            for part, module in (("block", block), ("attention", block.attn)):
                hooks.append(module.register_forward_hook(note(layer, part), with_kwargs=True))
        try:
            self._run_with_cache(ids, [])
        finally:
            for hook in hooks:
                hook.remove()
        return seen

    @property
    def _device(self) -> torch.device:
        return _raw(self.bridge.embed).weight.device

    def _run_with_cache(self, ids: Tensor, names: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        known = [name for name in names if name in self.bridge.hook_dict]
        options = {"use_cache": False} if self.is_hugging_face else {}
        forget_lengths(self.bridge)
        with torch.no_grad(), quick_modules(ids.numel(), self.d_model):
            logits, cache = self.bridge.run_with_cache(ids, names_filter=known, **options)
        return logits, {name: cache[name] for name in known}


class _Seen(Exception):
    """All that was looked for is seen."""


class _Reached(Exception):
    """The first block is reached."""

    def __init__(self, residual: Tensor) -> None:
        super().__init__()
        self.residual = residual


def _by_length(tokens: Tokens, run: Callable[[Tensor], Tensor]) -> Tensor:
    """Run prompts of any lengths without padding: those of one length at a time, ``[row, pos]`` to ``[row, pos, d]``.

    Returns:
        ``[batch, pos, d]``, 0 behind a prompt's end.
    """
    found: Tensor | None = None
    for length in sorted(set(tokens.lengths)):
        rows = [i for i, n in enumerate(tokens.lengths) if n == length]
        part = run(tokens.ids[rows, :length])
        if found is None:
            found = part.new_zeros(*tokens.ids.shape, part.shape[-1])
        found[rows, :length] = part
    if found is None:
        raise ValueError("there must be at least one prompt")
    return found


@cache
def _adds_residual(kind: type[nn.Module]) -> bool:
    """Whether MLPs of a class are given the residual stream and add to it; asked once, as every run would ask."""
    return "residual" in inspect.signature(kind.forward).parameters


def _first(output: Any) -> Tensor:
    """Some modules give a tuple whose first entry is the output."""
    return output[0] if isinstance(output, tuple) else output

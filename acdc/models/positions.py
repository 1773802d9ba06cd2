"""Position tables: compared, laid side by side, and read from the model's own attention by trying.

What attention does with positions differs between models in ways that their weights don't
show: which dimensions are turned together, whether a layer turns any, whether before or
after a norm, what queries are multiplied by far from the start. So a layer's own attention is
run on random vectors, its queries and keys are taken where it hands them on, and of the ways
that are known the one that gives them is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from acdc.errors import ModelError
from acdc.models.attention import Attention, PositionTable, Rotary

#: What numbers of tables may differ by and still be the same: the models compute them in float32.
_TOLERANCE = {torch.float64: 2e-6, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}


def is_part(table: PositionTable, longer: PositionTable) -> bool:
    """Whether a table is the beginning of a longer one."""
    return all(
        _same(a, b)
        for a, b in zip(_columns(table), _columns(longer, table.visible.shape[-1]), strict=True)  # as long as it is
    )


def share(tables: list[PositionTable]) -> list[PositionTable]:
    """Tables of all layers, where those that are alike are one: a bias of every head takes memory."""
    found: list[PositionTable] = []
    for table in tables:
        found.append(next((known for known in found if _turns_alike(table, known) and is_part(table, known)), table))
    return found


def _turns_alike(a: PositionTable, b: PositionTable) -> bool:
    if a.rotary is None or b.rotary is None:
        return a.rotary is b.rotary
    return (a.rotary.interleaved, a.rotary.before_norm) == (b.rotary.interleaved, b.rotary.before_norm)


def side_by_side(tables: list[PositionTable], longest: PositionTable) -> PositionTable:
    """One table for prompts of different lengths, each with its own rows.

    Args:
        tables: of each prompt, for its own length or longer.
        longest: for the longest of them; what stands behind a prompt's end is taken from it.
    """
    length = longest.visible.shape[-1]
    rotary, columns = longest.rotary, [list(_columns(table, length)) for table in tables]
    cos, sin, visible, bias, q_scale = (
        None if whole is None else torch.stack([_filled_up(column[i], whole) for column in columns])
        for i, whole in enumerate(_columns(longest))
    )
    if rotary is not None and cos is not None and sin is not None:
        rotary = replace(rotary, cos=cos, sin=sin)
    return PositionTable(rotary, longest.visible if visible is None else visible, bias, q_scale)


def _columns(table: PositionTable, length: int | None = None) -> Iterator[Tensor | None]:
    """A table's tensors, up to some length: cos, sin, visible, bias and the queries' scale."""
    rotary, bias, scale = table.rotary, table.bias, table.q_scale
    yield None if rotary is None else rotary.cos[:length]
    yield None if rotary is None else rotary.sin[:length]
    yield table.visible[:length, :length]
    yield None if bias is None else bias[:, :length, :length]
    yield scale if scale is None else scale[:length]


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    if a is None or b is None:  # a scale of 1 all along is none
        other = a if b is None else b
        return other is None or bool((other == 1).all())
    if a.shape != b.shape:
        return False
    return torch.equal(a, b) if a.dtype == torch.bool else torch.allclose(a, b, rtol=0, atol=_TOLERANCE[a.dtype])


def _filled_up(part: Tensor | None, whole: Tensor) -> Tensor:
    """A prompt's tensor, with the longest one's where it ends."""
    if part is None:  # a scale that is 1 all along
        return torch.ones_like(whole)
    full = whole.clone()
    full[tuple(slice(size) for size in part.shape)] = part
    return full


#: How far products of queries and keys may be from the model's, relative to the largest.
_FITS = {torch.float64: 1e-5, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
#: The name under which an attention function that only listens is known to transformers.
_LISTENER = "acdc_listener"


def read_table(
    attention: Attention, own: nn.Module, args: tuple[Any, ...], call: dict[str, Any], length: int, *, causal: bool
) -> PositionTable:
    """What one layer does with positions, for prompts of one length.

    Args:
        attention: the layer's weights.
        own: the model's own module.
        args: what it was called with on one prompt of that length, the hidden states first if they aren't in `call`.
        call: the same by name.
        length: tokens.
        causal: a position sees itself and those before it only.

    Raises:
        ModelError: what it does is known to be wrong.
    """
    bias, visible = _bias(attention, call, length), _visible(call, own, length, attention.W_Q.device, causal=causal)
    ways = _rotations(attention, call, own, length)
    x = torch.randn(1, length, attention.d_model, generator=torch.Generator().manual_seed(0)).to(attention.W_Q)
    heard = None if not hasattr(own, "config") else _listen(own, args, call, attention.norm(x))
    if heard is None:  # an old module that doesn't say; the self-check judges
        return PositionTable(ways[0], visible, bias)
    expected = _products(*heard)  # [pos_q, pos_k]
    limit = _FITS[attention.W_Q.dtype] * float(expected.abs().max())
    near: list[tuple[PositionTable, Tensor]] = []
    for table in (PositionTable(rotary, visible, bias) for rotary in ways):
        found = _products(attention.query(0, x, table)[0], attention.key(0, x, table)[0])
        if float((found - expected).abs().max()) <= limit:
            return table
        near.append((table, found))
    for table, found in near:
        q_scale = (found * expected).sum(-1) / found.square().sum(-1)  # [pos]
        q_scale = torch.where((q_scale - 1).abs() <= _FITS[attention.W_Q.dtype], 1.0, q_scale)
        if float((found * q_scale[:, None] - expected).abs().max()) <= limit and q_scale[0] == 1:
            return replace(table, q_scale=q_scale.to(attention.W_Q.dtype))
    return near[0][0]


def _products(q: Tensor, k: Tensor) -> Tensor:
    """Queries times keys of one head, ``[pos, d_head]`` to ``[pos_q, pos_k]`` in float64."""
    return q.double() @ k.double().T


def _listen(own: nn.Module, args: tuple[Any, ...], call: dict[str, Any], x: Tensor) -> tuple[Tensor, Tensor] | None:
    """The first head's queries and keys, ``[pos, d_head]`` each, as a module hands them on to the attention function.

    ``None`` where it has no such function, as the older modules of transformers haven't.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    heard: list[tuple[Tensor, Tensor]] = []

    def listen(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any) -> Any:
        heard.append((query[0, 0], key[0, 0]))
        return value.new_zeros(query.shape[0], query.shape[2], query.shape[1], value.shape[-1]), None

    config: Any = own.config
    before = config._attn_implementation
    ALL_ATTENTION_FUNCTIONS[_LISTENER] = listen
    try:
        config._attn_implementation = _LISTENER
        with torch.no_grad():
            if "hidden_states" in call:
                own(*args, **{**call, "hidden_states": x})
            else:
                own(x, *args[1:], **call)
    except (TypeError, RuntimeError, ValueError, AttributeError):  # whatever it needs besides; it may have spoken
        pass
    finally:
        config._attn_implementation = before
        del ALL_ATTENTION_FUNCTIONS[_LISTENER]
    return heard[0] if heard else None


def _rotations(attention: Attention, call: dict[str, Any], own: nn.Module, length: int) -> list[Rotary | None]:
    """The ways in which a layer may turn its queries and keys, the likeliest first."""
    given = call.get("position_embeddings")
    if given is None:
        return [_own_rotary(own, length)]
    if isinstance(given, Tensor):  # Llama 4: complex numbers, one for each pair of neighbours
        turns = given.reshape(-1, given.shape[-1])[:length]
        cos, sin = (part.repeat_interleave(2, -1) for part in (turns.real, turns.imag))
        ways = [Rotary(cos, sin, interleaved=True)]
    else:
        cos, sin = (table.reshape(-1, table.shape[-1])[:length] for table in given)
        half = cos.shape[-1] // 2
        in_halves = torch.equal(cos[:, :half], cos[:, half:]) and torch.equal(sin[:, :half], sin[:, half:])
        # A table repeats its frequencies as the dimensions are paired, in halves or in neighbours; but GLM's and
        # Ernie's are laid out anew by the layer, and gpt-oss' isn't repeated at all.
        ways = [Rotary(cos, sin, interleaved=not in_halves)]
        if in_halves:
            cos, sin = (table[:, :half].repeat_interleave(2, -1) for table in (cos, sin))
            ways.append(Rotary(cos, sin, interleaved=True))
        else:
            ways.append(Rotary(torch.cat((cos, cos), -1), torch.cat((sin, sin), -1), interleaved=False))
    ways += [replace(way, sin=-way.sin) for way in ways]  # the other way round (nanochat)
    ways = [way for way in ways if way.cos.shape[-1] <= attention.W_Q.shape[-1]]
    if attention.q_norm.kind != "none":
        ways += [replace(way, before_norm=True) for way in ways]
    return [*ways, None]  # layers without positions (SmolLM3, Cohere 2) are given a table too


def _own_rotary(own: nn.Module, length: int) -> Rotary | None:
    """The rotation that a module keeps a table of itself."""
    if isinstance(table := getattr(own, "embed_positions", None), Tensor):  # GPT-J: [pos, sin then cos]
        sin, cos = (half.repeat_interleave(2, -1) for half in table[:length].chunk(2, -1))
        return Rotary(cos, sin, interleaved=True)
    if (rotary := getattr(own, "rotary", None)) is not None:  # TransformerLens' native models
        return Rotary(rotary.cos_cached[:length], rotary.sin_cached[:length], interleaved=True)
    return None


def _visible(call: dict[str, Any], own: nn.Module, length: int, device: torch.device, *, causal: bool) -> Tensor:
    """Which keys a query sees, ``[pos_q, pos_k]``: the mask that the layer was called with and its own."""
    visible = torch.ones(length, length, dtype=torch.bool, device=device)
    if causal:
        visible = visible.tril()
    mask = _mask(call, length)
    if mask is not None:
        visible &= mask[0] if mask.dtype == torch.bool else mask[0] > torch.finfo(mask.dtype).min / 2
    local = getattr(own, "bias", None)  # GPT-Neo keeps the window of a local layer here
    if isinstance(local, Tensor) and local.dim() == 4 and local.dtype == torch.bool:
        visible &= local[0, 0, :length, :length]
    return visible


def _mask(call: dict[str, Any], length: int) -> Tensor | None:
    """The mask of a call, ``[1 or head, pos_q, pos_k]``: bool, true for what is seen, or numbers to add."""
    mask = call.get("attention_mask")
    if not isinstance(mask, Tensor) or mask.dim() != 4:
        return None
    mask = mask[0, :, :length, :length]
    if mask.dtype == torch.bool and not mask[:, 0, 0].all():  # MPT: true for what is hidden
        mask = ~mask
    return mask


def _bias(attention: Attention, call: dict[str, Any], length: int) -> Tensor | None:
    """What is added to the scores of each head, ``[head, pos_q, pos_k]``, less what is added for a query itself.

    ALiBi (Press et al. 2022, arXiv 2108.12409), as Bloom and MPT are called with it, or as part of the mask.
    """
    heads, mask = attention.n_heads, _mask(call, length)
    parts = []
    for name in ("alibi", "position_bias"):
        if isinstance(given := call.get(name), Tensor):
            given = given.reshape(heads, -1, given.shape[-1])
            parts.append(given[:, -length:, -length:].expand(heads, length, length))
    if mask is not None and mask.is_floating_point():
        added = mask.where(mask > torch.finfo(mask.dtype).min / 2, 0.0)
        if added.any():
            if parts:  # Falcon, in transformers 5
                raise ModelError(
                    "the model is given ALiBi twice, by itself and in its attention mask; which of them counts "
                    "depends on the attention function, so acdc doesn't run it."
                )
            parts.append(added.expand(heads, length, length))
    if not parts:
        return None
    bias = torch.stack([part.to(attention.W_Q) for part in parts]).sum(0)
    # No softmax sees the difference, unless there is a sink; so tables of all lengths are alike.
    return bias if attention.sinks is not None else bias - bias.diagonal(dim1=-2, dim2=-1)[..., None]


def forget_lengths(model: nn.Module) -> None:
    """Have dynamic rotations forget the longest prompt so far, which in transformers decides the next ones' too."""
    for module in model.modules():
        usual = getattr(module, "original_max_seq_len", None)
        for name in [name for name in vars(module) if name.endswith("max_seq_len_cached")] if usual else []:
            prefix = name.removesuffix("max_seq_len_cached")
            first = getattr(module, f"{prefix}original_inv_freq", None)
            if getattr(module, name) != usual and isinstance(first, Tensor):
                module.register_buffer(f"{prefix}inv_freq", first, persistent=False)
                setattr(module, name, usual)

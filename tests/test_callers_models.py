"""Models that a caller holds stay as they are, and what opens is what they are without what hangs on them."""

import copy
import functools

import pytest
import torch
from families import random_model
from tiny import gpt2, save_toy, tokenizer, write_pairs
from torch import nn
from torch.nn.utils import prune
from transformer_lens.model_bridge.sources import build_bridge_from_module

from acdc import discover, load_model
from acdc.errors import AcdcWarning, ModelError
from acdc.models.tokens import Tokens
from acdc.models.toy import open_toy_folder

IDS = torch.tensor([[1, 5, 7, 2, 9, 3]])
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def bridge(**options):
    own = gpt2(**options)
    made = build_bridge_from_module(own, "GPT2LMHeadModel", hf_config=own.config)
    made.tokenizer = tokenizer()
    return made


def native(folder):
    return open_toy_folder(save_toy(folder))


def said(model):
    """What a model says on the prompt, plain tensors whatever it is."""
    with torch.no_grad():
        out = model(IDS)
    return getattr(out, "logits", out).clone()


def logits(opened):
    return opened.own_logits(Tokens.of([tuple(IDS[0].tolist())]))


def state(model):
    """All of a model that opening could change."""
    config = getattr(model, "config", None) or model.cfg
    return {
        "training": {name: module.training for name, module in model.named_modules()},
        "kinds": {name: type(module) for name, module in model.named_modules()},
        "gradients": {name: (p.requires_grad, p.grad) for name, p in model.named_parameters()},
        "hooks": {name: [len(getattr(module, kind)) for kind in HOOKS] for name, module in model.named_modules()},
        "tensors": {name: (t.dtype, t.device, t.data_ptr()) for name, t in model.state_dict().items()},
        "attention": getattr(config, "_attn_implementation", None),
        "config": copy.deepcopy({key: repr(value) for key, value in vars(config).items()}),
    }


@pytest.fixture(params=["hugging face", "bridge", "native bridge"])
def held(request, tmp_path):
    """A model in training mode, one parameter of which is frozen."""
    made = {"hugging face": gpt2, "bridge": bridge, "native bridge": lambda: native(tmp_path)}[request.param]()
    for parameter in made.parameters():
        parameter.requires_grad_(True)
    next(made.parameters()).requires_grad_(False)
    return made.train()


@pytest.mark.parametrize("dtype", [None, "float64", "bfloat16"])
def test_a_model_stays_as_it_is(held, dtype):
    before, values = state(held), {name: tensor.clone() for name, tensor in held.state_dict().items()}
    opened = load_model(held, dtype=dtype)
    assert state(held) == before
    assert all(torch.equal(tensor, values[name]) for name, tensor in held.state_dict().items())
    assert opened.bridge is not held
    assert not opened.bridge.training
    assert not any(parameter.requires_grad for parameter in opened.bridge.parameters())


@pytest.mark.random_models
def test_a_run_leaves_a_model_as_it_is(tmp_path):
    held = bridge().train()
    before = state(held)
    task = write_pairs(tmp_path / "pairs.jsonl")
    discover(held, task, n=2, threshold=0.1, order="attribution", progress=False)
    assert state(held) == before


@pytest.mark.random_models
def test_hooks_on_an_opened_model_s_bridge_are_refused_as_such(tmp_path):
    opened = load_model(gpt2(), tokenizer=tokenizer())
    opened.bridge.blocks[0].hook_in.add_hook(lambda value, hook: 3 * value)
    task = write_pairs(tmp_path / "pairs.jsonl")
    with pytest.raises(ModelError, match=r"there are hooks on its bridge, .* take them off"):
        discover(opened, task, n=2, threshold=0.1, progress=False)
    opened.bridge.reset_hooks()
    discover(opened, task, n=2, threshold=0.1, progress=False)


@pytest.mark.random_models
def test_the_record_s_hash_is_of_the_weights_as_they_were_for_the_run(tmp_path):
    opened = load_model(gpt2(), tokenizer=tokenizer())
    task = write_pairs(tmp_path / "pairs.jsonl")
    hashes = []
    for _ in range(2):
        run = discover(opened, task, n=2, threshold=0.1, progress=False)
        hashes.append(run.record.hashes["model"])
        with torch.no_grad():
            opened.bridge.original_model.lm_head.weight[3] += 1.0
    assert hashes[0] != hashes[1]


def test_a_model_that_gives_its_logits_in_a_tuple_is_opened():
    model = gpt2(return_dict=False)
    load_model(model)
    assert model.config.return_dict is False


def test_layers_that_were_taken_out_are_named():
    model = random_model("llama")
    model.model.layers = model.model.layers[:1]
    with pytest.raises(ModelError, match=r"has 1 layer, and its config says 2; set its num_hidden_layers"):
        load_model(model)
    model.config.num_hidden_layers = 1
    assert load_model(model).graph_config.n_layers == 1


def test_a_tokenizer_stays_as_it_is():
    own, held = tokenizer(), gpt2()
    before = repr(vars(own)), own.backend_tokenizer.to_str()
    assert load_model(held, tokenizer=own).tokenizer is own
    assert (repr(vars(own)), own.backend_tokenizer.to_str()) == before


# What hangs on a model.


def raised(module, args, output=None):
    """A hook that changes what a module writes."""
    first = output[0] if isinstance(output, tuple) else output
    changed = 2 * first
    return (changed, *output[1:]) if isinstance(output, tuple) else changed


@pytest.mark.parametrize("hook", [raised, functools.partial(raised)])
def test_hooks_on_a_model_are_not_part_of_it(hook):
    held, expected = gpt2(), said(gpt2())
    held.transformer.h[0].register_forward_hook(hook)
    held.lm_head.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    hooked = said(held)
    assert not torch.allclose(hooked, expected)
    with pytest.warns(
        AcdcWarning, match=r"has hooks or patched methods on it \(2\); what they do is not part of the model"
    ):
        opened = load_model(held)
    torch.testing.assert_close(logits(opened), expected)
    assert torch.equal(said(held), hooked)


@pytest.mark.parametrize("permanent", [False, True])
def test_hooks_on_a_bridge_are_not_part_of_it(permanent):
    held, expected = bridge(), said(gpt2())
    held.add_hook("blocks.1.hook_in", lambda tensor, hook: 2 * tensor, is_permanent=permanent)
    hooked = said(held)
    assert not torch.allclose(hooked, expected)
    with pytest.warns(AcdcWarning, match=r"a bridge in memory has hooks or patched methods on it \(1\)"):
        opened = load_model(held)
    torch.testing.assert_close(logits(opened), expected)
    assert torch.equal(said(held), hooked)


def test_torch_s_hooks_on_a_bridge_are_not_part_of_it():
    held, expected = bridge(), said(gpt2())
    held.blocks[0].register_forward_hook(raised)
    with pytest.warns(AcdcWarning, match="has hooks or patched methods on it"):
        opened = load_model(held)
    torch.testing.assert_close(logits(opened), expected)


@pytest.mark.parametrize("family", ["falcon", "mixtral", "gpt-neo"])
def test_the_libraries_own_hooks_are_no_reason_to_warn(family):
    own = random_model(family)
    load_model(own)
    load_model(build_bridge_from_module(own, type(own).__name__, hf_config=own.config))


@pytest.mark.parametrize("where", ["the model", "an MLP"])
def test_methods_put_in_place_of_a_model_s_own_are_not_part_of_it(where):
    held, expected = gpt2(), said(gpt2())
    patched = held if where == "the model" else held.transformer.h[0].mlp
    own = patched.forward

    @functools.wraps(own)
    def forward(*args, **options):
        out = own(*args, **options)
        if where == "the model":
            out.logits = 2 * out.logits
            return out
        return 2 * out

    patched.forward = forward
    with pytest.warns(AcdcWarning, match=r"patched methods on it \(1\)"):
        opened = load_model(held, dtype="float64")
    torch.testing.assert_close(logits(opened).float(), expected)
    assert patched.forward is forward


# Models that aren't plain.


class Lora(nn.Module):
    """As adapters are put into a model."""

    def __init__(self, base):
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.Linear(16, 2, bias=False)
        self.lora_B = nn.Linear(2, 48, bias=False)

    def forward(self, x):
        return self.base_layer(x) + self.lora_B(self.lora_A(x))


def test_a_model_with_an_adapter_in_it_is_refused():
    held = gpt2()
    held.transformer.h[0].attn.c_attn = Lora(held.transformer.h[0].attn.c_attn)
    with pytest.raises(ModelError, match=r"has an adapter in it \(.*base_layer.*merge the adapter first"):
        load_model(held)


def test_a_wrapped_model_is_refused_with_the_way_out():
    class Peft(nn.Module):
        peft_config = None

    with pytest.raises(ModelError, match="merge the adapter first"):
        load_model(Peft())
    with pytest.raises(ModelError, match="give the model inside it"):
        load_model(nn.DataParallel(gpt2()))


@pytest.mark.filterwarnings("ignore:torch.*deprecated")  # torch's own quantisation
def test_a_quantised_model_is_refused():
    held = gpt2()
    weight = held.transformer.h[0].mlp.c_fc.weight
    held.transformer.h[0].mlp.c_fc.weight = nn.Parameter((weight * 10).to(torch.int8), requires_grad=False)
    with pytest.raises(ModelError, match=r"is quantised \(transformer\.h\.0\.mlp\.c_fc\.weight\); dequantise it first"):
        load_model(held)
    held = gpt2()
    held.config.quantization_config = {"quant_method": "gptq"}
    with pytest.raises(ModelError, match="is quantised; dequantise it first"):
        load_model(held)
    held = gpt2()
    held.lm_head = torch.ao.nn.quantized.dynamic.Linear(16, 40)
    with pytest.raises(ModelError, match="is quantised"):
        load_model(held)


def test_a_model_without_values_is_refused():
    for held in (gpt2().to("meta"), bridge().to("meta", print_details=False)):
        with pytest.raises(ModelError, match=r"has weights without values .*on the meta device"):
            load_model(held)


def test_a_pruned_model_is_refused_with_the_way_out():
    held = gpt2()
    prune.l1_unstructured(held.transformer.h[0].mlp.c_fc, "weight", 0.5)
    with pytest.raises(ModelError, match=r"can't be copied .*prune\.remove"):
        load_model(held)
    prune.remove(held.transformer.h[0].mlp.c_fc, "weight")
    torch.testing.assert_close(logits(load_model(held)), said(held))


def test_a_model_of_two_precisions_needs_to_be_told():
    held = gpt2().to(torch.bfloat16)
    held.transformer.ln_f.float()
    with pytest.raises(ModelError, match=r"has weights in bfloat16 and float32; give the `dtype`"):
        load_model(held)
    assert load_model(held, dtype="float32").dtype == torch.float32

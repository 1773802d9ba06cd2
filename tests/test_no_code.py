"""A model's folder is data: nothing in it is run, and nothing it names is fetched from elsewhere."""

import contextlib
import json
import pickle

import pytest
import torch
from tiny import save_gpt2, tokenizer

from acdc import load_model
from acdc.errors import ModelError


class Evil:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def pwned(tmp_path):
    """A file that only code from the folder would write."""
    path = tmp_path / "pwned"
    yield path
    assert not path.exists()


@pytest.fixture
def folder(tmp_path, pwned):
    """A model whose every other file is evil."""
    folder = save_gpt2(tmp_path / "model", with_tokenizer=True)
    code = f"open({str(pwned)!r}, 'w')\n"
    for name in ("modeling_evil", "configuration_evil", "tokenization_evil", "setup", "__init__", "conftest"):
        (folder / f"{name}.py").write_text(code)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code)
    for name in ("pytorch_model.bin", "training_args.bin", "vocab.pkl", ".metadata"):
        (folder / name).write_bytes(pickle.dumps(Evil(pwned)))
    return folder


def edit(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_code_beside_a_model_is_not_run(folder):
    load_model(folder)


def test_code_that_the_config_names_is_not_run(folder):
    names = {"AutoConfig": "configuration_evil.Evil", "AutoModelForCausalLM": "modeling_evil.Evil"}
    edit(folder / "config.json", auto_map=names)
    load_model(folder)  # as the GPT-2 that it also says it is
    edit(folder / "config.json", model_type="evil")
    with pytest.raises(ModelError):
        load_model(folder)


def test_code_that_the_tokenizer_names_is_not_run(folder):
    auto = {"AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"]}
    edit(folder / "tokenizer_config.json", auto_map=auto, tokenizer_class="Evil")
    with contextlib.suppress(ModelError):
        load_model(folder)


def test_kernels_that_the_config_names_are_not_fetched(folder):
    edit(folder / "config.json", attn_implementation="someone/evil", _attn_implementation="someone/evil")
    opened = load_model(folder)
    assert opened.bridge.original_model.config._attn_implementation == "eager"


@pytest.mark.parametrize("field", ["transformers_weights", "kernel_config", "fusion_config", "experts_implementation"])
def test_a_config_that_takes_its_weights_or_kernels_elsewhere_is_refused(folder, field):
    edit(folder / "config.json", **{field: "adapter_model.bin"})
    with pytest.raises(ModelError, match=f"asks for {field}, which is never followed"):
        load_model(folder)


def test_a_chat_template_is_not_run_when_a_model_is_opened(folder, pwned):
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}{% for x in range(10**12) %}{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    assert load_model(folder).tokenizer.encode("Mary met John.") == tokenizer().encode("Mary met John.")


def test_pickled_weights_are_never_read(folder, pwned):
    (folder / "model.safetensors").unlink()
    torch.save(Evil(pwned), folder / "model.pt")
    with pytest.raises(ModelError, match=r"no \.safetensors weights; convert model\.pt to safetensors"):
        load_model(folder)
    (folder / "model.safetensors").write_bytes(pickle.dumps(Evil(pwned)))
    with pytest.raises(ModelError, match=r"model\.safetensors can't be used"):
        load_model(folder)

"""With a BOS, a run measures what tools that prepend one measure.

EAP-IG, MIB and AutoCircuit tokenize by TransformerLens, which puts GPT-2's <|endoftext|> before
every prompt, though GPT-2's own tokenizer doesn't. The same file gives other numbers without it.
Computed here independently: plain Hugging Face forwards, patched by hand.
"""

import json

import made_tokenizers as made
import pytest
import torch
import transformers as tf

import acdc
from acdc.engine.setting import prepare
from acdc.evaluation.behaviour import evaluate
from acdc.pairs.finding import find_task

ROWS = [
    {
        "clean": f"When {a} and {b} went to the store, {b} gave a {thing} to",
        "corrupted": f"When {c} and {d} went to the store, {e} gave a {thing} to",
        "answer": f" {a}",
        "wrong_answer": f" {b}",
    }
    for a, b, c, d, e, thing in (
        ("Mary", "John", "Alice", "Paul", "Carl", "drink"),
        ("Simon", "Alice", "Mary", "Peter", "James", "ring"),
        ("James", "Anna", "John", "Laura", "Peter", "book"),
    )
]


@pytest.fixture(scope="module")
def tokenizer():
    return made.gpt2_like()


@pytest.fixture(scope="module")
def hugging_face(tokenizer):
    torch.manual_seed(0)
    config = tf.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=32, vocab_size=len(tokenizer))
    model = tf.GPT2LMHeadModel(config).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("task") / "ioi.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def kl(of, to):
    return float((of.softmax(-1) * (of.log_softmax(-1) - to.log_softmax(-1))).sum())


@torch.no_grad()
def by_hand(model, tokenizer, begin):
    """Mean KL to the model: on the corrupted prompts, and with the last MLP's output from them."""
    mlp, ablated, without_mlp = model.transformer.h[1].mlp, [], []
    for row in ROWS:
        clean, corrupted = (torch.tensor([begin + tokenizer.encode(row[which])]) for which in ("clean", "corrupted"))
        kept = {}
        hook = mlp.register_forward_hook(lambda module, given, out, kept=kept: kept.update(out=out))
        other = model(corrupted).logits[0, -1]
        hook.remove()
        own = model(clean).logits[0, -1]
        hook = mlp.register_forward_hook(lambda module, given, out, kept=kept: kept["out"])
        patched = model(clean).logits[0, -1]
        hook.remove()
        ablated.append(kl(own, other))
        without_mlp.append(kl(own, patched))
    return sum(ablated) / len(ROWS), sum(without_mlp) / len(ROWS)


@pytest.fixture(scope="module")
def model(hugging_face, tokenizer):
    return acdc.load_model(hugging_face, tokenizer=tokenizer)


@pytest.mark.parametrize(("bos", "other"), [("yes", "no"), ("no", "yes"), ("auto", "yes")])
@pytest.mark.random_models
def test_the_kl_is_that_of_prompts_that_begin_so(bos, other, model, hugging_face, tokenizer, file):
    begins = {"yes": [tokenizer.bos_token_id], "no": [], "auto": []}
    ablated, without_mlp = by_hand(hugging_face, tokenizer, begins[bos])
    assert abs(ablated / by_hand(hugging_face, tokenizer, begins[other])[0] - 1) > 0.01
    run = acdc.discover(model, file, bos=bos, threshold=1e6, n=3, progress=False)
    assert run.record.request.bos == bos
    assert run.record.metric_ablated == pytest.approx(ablated, rel=1e-9)
    setting = prepare(model, find_task(file).prompts(tokenizer, bos=bos))
    kept = torch.ones(setting.graph.n_edges, dtype=torch.bool).numpy()
    kept[setting.graph.edge("m1->logits").number] = False
    assert evaluate(setting, kept).circuit.metrics["kl"] == pytest.approx(without_mlp, rel=1e-9)

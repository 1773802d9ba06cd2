"""Any circuit on any prompts: equal to whole runs of a second, naive implementation, prediction by prediction."""

import json

import naive
import numpy as np
import pytest
import torch
from families import random_model

import acdc
from acdc import Circuit, Graph, PromptPair
from acdc.errors import SettingsError

NAIVE = {"gpt2": naive.NaiveGpt2, "llama": naive.NaiveLlama, "gpt-neox-parallel": naive.NaiveNeox}
OPTIONS = {"split": "train", "bos": "auto", "progress": False}


@pytest.fixture(scope="module")
def drawn():
    """A naive model, the same opened by acdc, random prompts for both and a random circuit."""
    made = {}

    def drawn(family):
        if family not in made:
            theirs = random_model(family, torch.float64)
            generator = torch.Generator().manual_seed(3)
            tokens = torch.randint(50, (2, 4, 7), generator=generator)
            answers = torch.randint(50, (2, 4), generator=generator)
            pairs = [
                PromptPair(tuple(c), tuple(x), ((r,),), ((w,),))
                for c, x, r, w in zip(*tokens.tolist(), *answers.tolist(), strict=True)
            ]
            model = acdc.load_model(theirs)
            graph = Graph(model.graph_config)
            kept = np.random.default_rng(0).random(graph.n_edges) < 0.6
            made[family] = NAIVE[family](theirs), model, pairs, (*tokens, *answers), circuit(graph, kept)
        return made[family]

    return drawn


def circuit(graph, kept):
    return Circuit(graph, kept, np.zeros(graph.n_edges))


def removed_from(graph, kept):
    """What the naive implementation takes out, as (reader, writer)."""
    return {(edge.slot.name, edge.source.name) for edge in graph.edges(~kept)}


def others(second, clean, corrupted, ablation, constant=0):
    """What removed edges carry."""
    _, written = naive.run(second, clean, set(), {}, constant)
    if ablation == "corrupted":
        return naive.run(second, corrupted, set(), {}, constant)[1]
    if ablation == "zero":
        return {writer: torch.zeros_like(x) for writer, x in written.items()}
    return {writer: x.mean(0, keepdim=True).expand_as(x) for writer, x in written.items()}


def figures(logits, base, right, wrong):
    """Values per prediction, written out."""
    rows = torch.arange(len(logits))
    p, q = base.softmax(-1), logits.softmax(-1)
    margin = logits[rows, right] - logits[rows, wrong]
    return {
        "kl": (p * (p / q).log()).sum(-1),
        "logit_difference": margin,
        "logit-diff": base[rows, right] - base[rows, wrong] - margin,
        "accuracy": (margin > 0).double(),
        "top1": (logits.argmax(-1) == right).double(),
    }


@pytest.mark.parametrize("family", NAIVE)
@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
@torch.no_grad()
def test_every_state_is_that_of_whole_patched_runs(drawn, family, ablation):
    second, model, pairs, (clean, corrupted, right, wrong), found = drawn(family)
    (judged,) = acdc.evaluate(found, model, pairs, ablation=ablation, **OPTIONS)
    graph, kept = found.graph, found.in_graph
    other = others(second, clean, corrupted, ablation)
    base, _ = naive.run(second, clean, set(), {})
    wanted = {
        "model": base,
        "corrupted": naive.run(second, corrupted, set(), {})[0],
        "circuit": naive.run(second, clean, removed_from(graph, kept), other)[0],
        "complement": naive.run(second, clean, removed_from(graph, ~kept), other)[0],
        "ablated": naive.run(second, clean, removed_from(graph, np.zeros_like(kept)), other)[0],
    }
    kls = {}
    for state, logits in wanted.items():
        values = judged.evaluation.states[state].values
        for name, expected in figures(logits, base, right, wrong).items():
            assert values[name].dtype == np.float64
            assert values[name] == pytest.approx(expected.numpy(), abs=1e-6, rel=1e-6), (state, name)
        kls[state] = values["kl"].mean()
    assert min(kls["circuit"], kls["complement"], kls["ablated"]) > 1e-4  # zeros are compared with no zeros
    assert judged.evaluation.circuit.metrics["kl"] == pytest.approx(kls["circuit"])
    share = judged.evaluation.faithfulness  # by hand, a ratio of means as in MIB
    means = {s: (logits[range(4), right] - logits[range(4), wrong]).mean() for s, logits in wanted.items()}
    by_hand = (means["circuit"] - means["ablated"]) / (means["model"] - means["ablated"])
    assert judged.evaluation.faithfulness_metric == "logit-diff"
    assert share == pytest.approx(float(by_hand), rel=1e-5)


@pytest.mark.parametrize("family", NAIVE)
@pytest.mark.parametrize("ablation", ["corrupted", "zero", "mean"])
@torch.no_grad()
def test_the_convention_of_eap_ig_keeps_positions_prunes_to_paths_and_divides_kl(drawn, family, ablation):
    second, model, pairs, (clean, corrupted, right, wrong), found = drawn(family)
    graph = found.graph
    kept = np.random.default_rng(1).random(graph.n_edges) < 0.25  # some edges hang loose
    pruned = graph.on_path(kept)
    assert 0 < pruned.sum() < kept.sum()
    (judged,) = acdc.evaluate(circuit(graph, kept), model, pairs, ablation=ablation, convention="eap-ig", **OPTIONS)
    theirs, positions = second, 0
    if family == "gpt2":  # EAP-IG's input is the token embedding alone
        positions = second.model.transformer.wpe.weight[: clean.shape[1]]
        theirs = naive.NaiveGpt2(second.model)
        theirs.embed = lambda ids: second.model.transformer.wte.weight[ids]
    other = others(theirs, clean, corrupted, ablation, positions)
    base, _ = naive.run(second, clean, set(), {})
    for state, left in (("circuit", pruned), ("ablated", np.zeros_like(kept)), ("complement", graph.on_path(~kept))):
        logits, _ = naive.run(theirs, clean, removed_from(graph, left), other, positions)
        values, expected = judged.evaluation.states[state].values, figures(logits, base, right, wrong)
        assert values["kl"] == pytest.approx(expected["kl"].numpy() / base.shape[-1], rel=1e-5, abs=1e-8), state
        assert values["logit_difference"] == pytest.approx(expected["logit_difference"].numpy(), abs=1e-5), state
    (ours,) = acdc.evaluate(circuit(graph, kept), model, pairs, ablation=ablation, **OPTIONS)
    differs = abs(ours.evaluation.ablated.values["logit_difference"] - values["logit_difference"]).max() > 1e-3
    assert differs or family != "gpt2" or ablation == "corrupted"


def test_the_convention_of_eap_ig_is_refused_where_it_cannot_be_kept(drawn, gpt2_model):
    model = acdc.load_model(random_model("gemma2", torch.float64))
    graph = Graph(model.graph_config)
    pair = PromptPair((1, 2, 3), (3, 2, 1))
    with pytest.raises(SettingsError, match=r"norms behind the sum of its heads.*leave out `convention=\"eap-ig\"`"):
        acdc.evaluate(circuit(graph, np.ones(graph.n_edges, bool)), model, [pair], convention="eap-ig", **OPTIONS)
    split = Graph.from_config(2, 2, 16, split_input=True)
    with pytest.raises(SettingsError, match="none of EAP-IG's, whose input is one node"):
        acdc.evaluate(circuit(split, np.ones(split.n_edges, bool)), gpt2_model, [pair], convention="eap-ig", **OPTIONS)


def test_one_bos_is_put_before_prompts_by_the_convention_of_eap_ig():
    import made_tokenizers as made
    from tiny import gpt2

    tokenizer = made.gpt2_like()
    model = acdc.load_model(gpt2(vocab_size=len(tokenizer)), tokenizer=tokenizer)
    graph = Graph(model.graph_config)
    pair = PromptPair("So Mary gave a ring to", "So John gave a ring to", ((" Peter",),), ((" Paul",),))
    every = circuit(graph, np.ones(graph.n_edges, bool))
    options = {"split": "train", "progress": False}
    (ours,) = acdc.evaluate(every, model, [pair], **options)
    (theirs,) = acdc.evaluate(every, model, [pair], convention="eap-ig", **options)
    (plain,) = acdc.evaluate(every, model, [pair], convention="eap-ig", bos="auto", **options)
    assert theirs.prompts[0].clean == "<|endoftext|>" + ours.prompts[0].clean
    assert plain.prompts == ours.prompts


def test_circuits_by_tasks_in_one_call_equal_each_alone(drawn):
    _, model, pairs, _, found = drawn("gpt2")
    graph = found.graph
    half = circuit(graph, np.random.default_rng(5).random(graph.n_edges) < 0.5)
    tasks = [acdc.find_task(pairs[:2]), acdc.find_task(pairs[2:])]
    report = acdc.evaluate([found, half, found], model, tasks, **OPTIONS)
    assert [(one.circuit, one.evaluation.n_prompts) for one in report] == [
        (f"circuit {i}", 2) for i in (1, 1, 2, 2, 3, 3)
    ]
    alone = [acdc.evaluate(one, model, task, **OPTIONS)[0].evaluation for one in (found, half, found) for task in tasks]
    for one, other in zip(report, alone, strict=True):
        for state, values in one.evaluation.states.items():
            for name, each in values.values.items():
                assert each == pytest.approx(other.states[state].values[name], abs=1e-9), (state, name)
    assert report[0].evaluation == report[4].evaluation != report[2].evaluation


def test_equal_masks_are_run_once(drawn, monkeypatch):
    from acdc.engine import circuits

    _, model, pairs, _, found = drawn("gpt2")
    rest = circuit(found.graph, ~found.in_graph)
    runs = []
    run = circuits.run
    monkeypatch.setattr(circuits, "run", lambda setting, masks: runs.extend(masks) or run(setting, masks))
    first, second = acdc.evaluate([found, rest], model, pairs, **OPTIONS)
    assert len(runs) == 3  # every edge ablated, the circuit, its complement
    assert first.evaluation.complement == second.evaluation.circuit


def test_prompts_in_chunks_give_the_same(drawn):
    _, model, pairs, _, found = drawn("gpt2")
    (whole,), (parts,) = (acdc.evaluate(found, model, pairs, batch_size=size, **OPTIONS) for size in ("auto", 3))
    for state, values in whole.evaluation.states.items():
        other = parts.evaluation.states[state].values
        assert all(other[name] == pytest.approx(each, abs=1e-9) for name, each in values.values.items())


def test_a_metric_of_ones_own_is_measured_too(drawn):
    _, model, pairs, _, found = drawn("gpt2")

    def gap(circuit, model, answers):
        return (circuit - model).abs().amax(-1)

    (judged,) = acdc.evaluate(found, model, pairs, metric=gap, **OPTIONS)
    assert judged.metric == judged.evaluation.faithfulness_metric == "gap"
    assert judged.evaluation.circuit.values["gap"].shape == (4,)


def test_worst_prompts_are_those_of_the_highest_metric_with_what_would_be_said(drawn):
    second, model, pairs, (clean, _, right, _), found = drawn("gpt2")
    (judged,) = acdc.evaluate(found, model, pairs, metric="kl", worst=2, **OPTIONS)
    kl = judged.evaluation.circuit.values["kl"]
    assert [one.prompt for one in judged.worst] == np.argsort(-kl)[:2].tolist()
    first = judged.worst[0]
    assert first.value == kl.max()
    with torch.no_grad():
        said = naive.run(second, clean, set(), {})[0][first.prompt].softmax(-1).topk(5)
    assert [token for token, _ in first.model] == [str(token) for token in said.indices.tolist()]
    assert [share for _, share in first.model] == pytest.approx(said.values.tolist(), abs=1e-6)
    assert first.tokens[0] == (str(pairs[first.prompt].clean[0]), str(pairs[first.prompt].corrupted[0]))
    assert first.right == (str(int(right[first.prompt])),)
    assert first.position == 6


def test_figures_by_template_and_by_answer(drawn):
    from dataclasses import replace

    _, model, pairs, _, found = drawn("gpt2")
    tagged = [
        replace(pair, answers=((1 + i // 2,),), wrong_answers=((0,),), tags={"template": "ABBA" if i % 2 else "BABA"})
        for i, pair in enumerate(pairs)
    ]
    (judged,) = acdc.evaluate(found, model, tagged, metric="kl", **OPTIONS)
    assert judged.kinds == ["template", "answer"]
    kl, ablated = (judged.evaluation.states[state].values["kl"] for state in ("circuit", "ablated"))
    groups = judged.groups("template")
    assert groups["ABBA"].circuit.metrics["kl"] == pytest.approx(kl[1::2].mean())
    assert groups["BABA"].faithfulness == pytest.approx(1 - kl[::2].mean() / ablated[::2].mean())
    assert judged.groups("answer")["2"].circuit.values["kl"].tolist() == kl[2:].tolist()
    assert (judged.groups("answer")["2"].prompt_of == [0, 1]).all()
    means = [group.circuit.metrics["kl"] for group in groups.values()]
    assert means == sorted(means, reverse=True)
    (plain,) = acdc.evaluate(found, model, pairs, **OPTIONS)
    assert plain.kinds == []  # four answers of a prompt each say nothing


def test_several_answer_positions_are_several_predictions_of_a_prompt(drawn):
    _, model, pairs, _, found = drawn("gpt2")
    longer = [
        PromptPair(pair.clean, pair.corrupted, pair.answers * 2, pair.wrong_answers * 2, (3, 6)) for pair in pairs
    ]
    (judged,) = acdc.evaluate(found, model, longer, **OPTIONS)
    assert judged.evaluation.prompt_of.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    (alone,) = acdc.evaluate(found, model, pairs, **OPTIONS)
    last = judged.evaluation.circuit.values["kl"][1::2]
    assert last == pytest.approx(alone.evaluation.circuit.values["kl"], abs=1e-9)
    rows = judged.rows()
    assert len(rows) == 8
    assert [row["prompt"] for row in rows] == judged.evaluation.prompt_of.tolist()
    assert [row["circuit.kl"] for row in rows] == judged.evaluation.circuit.values["kl"].tolist()
    text = json.dumps(judged.to_json(), allow_nan=False)
    assert json.loads(text)["values"]["circuit"]["kl"] == judged.evaluation.circuit.values["kl"].tolist()


def test_a_circuit_that_is_no_other_models_or_empty_is_refused(drawn, gpt2_model):
    _, model, pairs, _, found = drawn("gpt2")
    other = Graph.from_config(3, 2, 32)
    every = circuit(other, np.ones(other.n_edges, bool))
    with pytest.raises(
        SettingsError, match=r"the circuit is a circuit of another model than .*: n_layers 3 against 2, n_heads 2 aga"
    ):
        acdc.evaluate(every, model, pairs, **OPTIONS)
    wide = Graph.from_config(2, 4, 64)
    with pytest.raises(SettingsError, match="d_model 64 against 32"):
        acdc.evaluate(circuit(wide, np.ones(wide.n_edges, bool)), model, pairs, **OPTIONS)
    nothing = np.zeros_like(found.in_graph)
    with pytest.raises(SettingsError, match="circuit 2 is empty"):
        acdc.evaluate([found, circuit(found.graph, nothing)], model, pairs, **OPTIONS)
    loose = nothing.copy()
    loose[found.graph.edge("m0->logits").number] = True
    with pytest.raises(SettingsError, match="the circuit does nothing: none of its 1 edges lies on a path"):
        acdc.evaluate(circuit(found.graph, loose), model, pairs, **OPTIONS)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "dev"}, "unknown split 'dev'"),
        ({"convention": "mib"}, "unknown convention 'mib'"),
        ({"metric": "kll"}, "unknown metric 'kll'"),
        ({"ablation": "noise"}, "unknown ablation 'noise'"),
        ({"n": 0}, "n must be at least 1"),
        ({"n": 2.5}, "`n` must be a whole number"),
        ({"seed": "x"}, "`seed` must be a whole number"),
        ({"worst": -1}, "`worst` must be at least 0"),
        ({"batch_size": 0}, "the batch size must be at least 1"),
        ({"bos": 3}, "`bos` must be a name"),
    ],
)
def test_options_that_make_no_sense_are_refused(drawn, options, said):
    _, model, pairs, _, found = drawn("gpt2")
    with pytest.raises(acdc.AcdcError, match=said):
        acdc.evaluate(found, model, pairs, **({"progress": False} | options))


def test_what_is_no_circuit_or_no_task_is_refused(drawn):
    _, model, pairs, _, found = drawn("gpt2")
    with pytest.raises(SettingsError, match=r"a circuit must be an acdc.Circuit, an acdc.Run or a path, not 3"):
        acdc.evaluate(3, model, pairs)
    with pytest.raises(SettingsError, match="no circuit is given"):
        acdc.evaluate([], model, pairs)
    with pytest.raises(SettingsError, match="the list of tasks, or of prompt pairs, is empty"):
        acdc.evaluate(found, model, [])
    with pytest.raises(SettingsError, match="doesn't say what it was found on; give `task`, and the `model`"):
        acdc.evaluate(found, model)
    with pytest.raises(SettingsError, match=r"the circuit doesn't say which model it is of; give `model`"):
        acdc.evaluate(found, task=pairs)

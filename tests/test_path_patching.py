"""Path patching, against every way through the model followed one by one on weights of Hugging Face's."""

from itertools import product

import numpy as np
import pytest
import torch
from families import random_model
from naive import NaiveGpt2, NaiveLlama, NaiveNeox
from naive import run as naive_run

import acdc
from acdc.analysis.paths import patch_paths
from acdc.engine import circuits
from acdc.engine.setting import prepare
from acdc.errors import SettingsError, UnknownNameError
from acdc.graph import Graph
from acdc.pairs import PromptSet, TokenPair

pytestmark = pytest.mark.drawn

NAIVE = {"gpt2": NaiveGpt2, "llama": NaiveLlama, "gpt-neox-parallel": NaiveNeox}
#: transformers rotates, and norms, in float32, in a float64 model too; acdc takes its rotations from there.
NEAR = {"gpt2": 1e-10, "llama": 1e-6, "gpt-neox-parallel": 1e-6}
SETS = (
    ["a0.h1->a1.h2<k>->logits"],
    ["a0.h1->a1.h2->logits", "m0->a1.h2<v>->logits", "a0.h3->logits"],
    ["input->a0.h0<q>->a1.h1<v>->m1->logits", "a0.h0->a1.h1<v>->m1->logits", "a0.h2->m1->logits"],
    ["a0.h1->a1.h2<k>"],
    ["input->a0.h1<v>", "a0.h3->a1.h0<q>", "a1.h0->logits"],
    ["m0", "a0.h0->m1"],
)
EVERY_NORM = ("gpt2", "llama", "gpt-neox-parallel", "gemma3", "olmo2")


def pairs(lengths=(6, 6, 6), swapped=False):
    draws = np.random.default_rng(1)

    def pair(length):
        clean, corrupted = (tuple(draws.integers(50, size=length).tolist()) for _ in "ab")
        both = (corrupted, clean) if swapped else (clean, corrupted)
        return TokenPair(*both, (length - 1,), ((3,),), ((5,),))

    return PromptSet(tuple(pair(length) for length in lengths), "random")


@pytest.fixture(scope="module")
def opened():
    known = {}

    def opened(family):
        if family not in known:
            theirs = random_model(family, torch.float64)
            known[family] = theirs, acdc.load_model(theirs)
        return known[family]

    return opened


@pytest.fixture(scope="module")
def setting(opened):
    return lambda family, **options: prepare(opened(family)[1], pairs(), **options)


def belongs(path, rest, start, way):
    """Whether the way of slots from `start` to the logits is one of a path's."""
    first, *hops = path.split("->")
    is_open = not hops or hops[-1] != "logits"

    def fits(slots, hops, may):
        if not hops:
            return is_open or not slots
        if not slots:
            return False
        here = hops[0] in (slots[0], slots[0].split("<")[0]) and fits(slots[1:], hops[1:], may)
        return here or (may(slots[0]) and fits(slots[1:], hops, may))

    may = {"frozen": lambda _: False, "mlps": lambda slot: slot[0] == "m", "recomputed": lambda _: True}[rest]
    return start == first and fits(list(way), hops, may)


def naive_patched(theirs, setting, paths, rest):
    """Last logits when every way that belongs to one of the paths begins with the other run's value."""
    ids = {
        which: torch.tensor([getattr(pair, which) for pair in setting.prompts.pairs])
        for which in ("clean", "corrupted")
    }
    other = naive_run(theirs, ids["corrupted"], set(), {})[1]
    own = naive_run(theirs, ids["clean"], set(), {})[1]
    writers = list(own)

    def before(slot):
        node = slot.split("<")[0]
        if node == "logits":
            return writers, theirs.n_layers
        layer = int(node[1:].split(".")[0])
        beside = node[0] == "a" or theirs.parallel
        return writers[: writers.index(f"a{layer}.h0" if beside else node)], layer if beside else layer + 1

    def read(slot, way):
        parents, layers = before(slot)
        constant = sum(theirs.bias(layer) for layer in range(layers))
        return constant + sum(value(parent, (slot, *way)) for parent in parents)

    def value(node, way):
        if any(belongs(path, rest, node, way) for path in paths):
            return other[node]
        if node == "input":
            return own[node]
        if node[0] == "m":
            return theirs.mlp(int(node[1:]), read(node, way))
        layer, head = map(int, node[1:].split(".h"))
        return theirs.head(layer, head, *(read(f"{node}<{letter}>", way) for letter in "qkv"))

    return theirs.logits(read("logits", ()))[:, -1]


@pytest.mark.parametrize(("family", "rest"), list(product(NAIVE, ("frozen", "mlps", "recomputed"))))
def test_every_set_of_paths_is_as_if_each_way_were_followed_by_itself(opened, setting, family, rest):
    theirs = NAIVE[family](opened(family)[0])
    here = setting(family)
    for paths in SETS if family == "gpt2" else SETS[1::2]:
        if family.endswith("parallel"):
            paths = [path for path in paths if "->m1->" not in path or "a1" not in path]
        with torch.no_grad():
            expected = naive_patched(theirs, here, paths, rest)
        found = patch_paths(here, paths, rest=rest)
        assert np.abs(found.logits - expected.numpy()).max() < NEAR[family], paths


def every_path(graph, start="input"):
    """All paths from the input to the logits, by name."""

    def onward(node):
        for slot in graph.slots:
            if slot.n_parents > node.index:
                if slot.node.kind == "logits":
                    yield "logits"
                else:
                    yield from (f"{slot.name}->{rest}" for rest in onward(slot.node))

    return [f"{start}->{rest}" for rest in onward(graph.node(start))]


def test_all_paths_together_are_the_corrupted_run(opened, setting):
    for family in EVERY_NORM:
        here = setting(family)
        whole = patch_paths(here, "input->logits", rest="recomputed")
        assert np.abs(whole.logits - here.corrupted_logits.numpy()).max() < 1e-10, family
    for family in ("gpt2", "gemma2"):
        here = setting(family)
        paths = every_path(here.graph)
        assert len(paths) == len(set(paths)) > 500
        assert np.abs(patch_paths(here, paths).logits - here.corrupted_logits.numpy()).max() < 1e-9, family
        fewer = patch_paths(here, paths[:-1]).logits
        assert np.abs(fewer - here.corrupted_logits.numpy()).max() > 1e-6, family


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "gpt-neox-parallel"])
def test_an_edge_alone_left_open_is_that_edge_removed(setting, family):
    for ablation in ("corrupted", "zero", "mean"):
        here = setting(family, ablation=ablation)
        for edge in ("a0.h1->a1.h2<k>", "input->m0", "m0->logits"):
            kept = np.ones(here.graph.n_edges, dtype=bool)
            kept[here.graph.edge(edge).number] = False
            (expected,) = circuits.run(here, [kept])
            assert np.abs(patch_paths(here, edge).logits - expected.numpy()).max() < 1e-10


def test_a_node_alone_is_activation_patching_by_a_hook(opened, setting):
    for family, module in (("gpt2", "transformer.h.0.mlp"), ("llama", "model.layers.0.mlp")):
        theirs, here = opened(family)[0], setting(family)
        part, seen = theirs.get_submodule(module), []
        clean, corrupted = (
            torch.tensor([getattr(pair, which) for pair in here.prompts.pairs]) for which in ("clean", "corrupted")
        )
        with torch.no_grad():
            hook = part.register_forward_hook(lambda *args, seen=seen: seen.append(args[-1]))
            theirs(corrupted)
            hook.remove()
            hook = part.register_forward_hook(lambda *_, seen=seen: seen[0])
            expected = theirs(clean).logits[:, -1]
            hook.remove()
        assert np.abs(patch_paths(here, "m0").logits - expected.numpy()).max() < 2e-6, family
        recomputed = patch_paths(here, "m0->logits", rest="recomputed").logits
        assert np.abs(recomputed - expected.numpy()).max() < 2e-6, family


def test_denoising_is_noising_of_swapped_prompts(opened, setting):
    model = opened("gemma2")[1]
    swapped = prepare(model, pairs(swapped=True))
    for rest in ("frozen", "recomputed"):
        found = patch_paths(setting("gemma2"), SETS[1], rest=rest, direction="denoising")
        assert np.abs(found.logits - patch_paths(swapped, SETS[1], rest=rest).logits).max() < 1e-12
        assert found.unpatched.metrics["kl"] > 0
        assert found.everything.metrics["kl"] == pytest.approx(0, abs=1e-12)
    with pytest.raises(SettingsError, match='`ablation="corrupted"`'):
        patch_paths(setting("gpt2", ablation="zero"), "m0", direction="denoising")


def test_prompts_of_different_lengths_in_chunks_are_as_each_alone(opened):
    model, lengths = opened("llama")[1], (4, 7, 5)
    together = patch_paths(prepare(model, pairs(lengths), batch_size=2), SETS[1], direction="denoising")
    every = pairs(lengths)
    for row, pair in enumerate(every.pairs):
        alone = prepare(model, PromptSet((pair,), "random"))
        expected = patch_paths(alone, SETS[1], direction="denoising").logits[0]
        assert np.abs(together.logits[row] - expected).max() < 1e-10


def test_a_split_input_has_paths_of_its_own(setting):
    here = setting("gpt2", split_input=True)
    both = patch_paths(here, ["embed->logits", "pos_embed->logits"], rest="recomputed")
    assert np.abs(both.logits - here.corrupted_logits.numpy()).max() < 1e-10
    assert patch_paths(here, "pos_embed").effect("kl") == pytest.approx(0, abs=1e-12)
    with pytest.raises(UnknownNameError, match="'input'"):
        patch_paths(here, "input->logits")


def test_a_longer_path_with_the_same_end_adds_nothing_and_names_are_each_taken_once(setting):
    here = setting("gpt2")
    one = patch_paths(here, "a0.h0 -> a1.h1<v> -> logits")
    more = patch_paths(here, ["a0.h0->a1.h1<v>->logits", "input->a0.h0->a1.h1<v>->logits", *one.paths])
    assert one.paths == ("a0.h0->a1.h1<v>->logits",)
    assert len(more.paths) == 2
    assert (one.logits == more.logits).all()


def test_effects_are_told_by_quantity_and_as_shares_of_everything(setting, tmp_path):
    found = patch_paths(setting("gpt2"), "input->logits", rest="recomputed")
    assert [found.share(name) for name in ("kl", "logit_difference")] == pytest.approx([1, 1])
    rows = {row[0]: row[1:] for row in found.table().rows}
    assert rows["logit_difference"][3] == pytest.approx(-rows["logit-diff"][3])
    assert rows["kl"][0] == pytest.approx(0, abs=1e-12)
    nothing = patch_paths(setting("gpt2"), "m1->logits", direction="denoising")
    kl = nothing.to_json()["effects"]["kl"]
    assert kl["effect"] == pytest.approx(kl["patched"] - kl["unpatched"])
    assert nothing.to_json()["values"]["patched"]["kl"] == nothing.patched.values["kl"].tolist()
    assert found.draw(tmp_path / "paths.svg").stat().st_size > 1000
    with pytest.raises(UnknownNameError, match="did you mean kl"):
        found.effect("kll")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("a1.h2->a0.h1<k>->logits", r"no edge a1.h2->a0.h1<k>.*nearest edges are a1.h2->m1 and input->a0.h1<k>\."),
        ("m0->a0.h1->logits", r"no edge m0->a0.h1 .*nearest edges are m0->a1.h1 and input->a0.h1\."),
        ("a0.h1->a0.h2<q>->logits", r"nearest edges are a0.h1->a1.h2<q> and input->a0.h2<q>\."),
        ("a0.h9->logits", "names the head a0.h9; the model has layers 0 to 1 with heads 0 to 3"),
        ("a0.h1->a7.h0<q>->logits", "names the head a7.h0<q>"),
        ("a0.h1<q>->logits", "begins at the slot a0.h1<q>, which reads; begin it at a0.h1"),
        ("a0.h1->input", "leads to input, which reads nothing"),
        ("logits", "begins at logits"),
        ("m0->logits->m1", "goes on behind logits"),
        ("m0->->logits", "a name is missing beside an arrow"),
        ("", "a name is missing"),
        ([], "no path is given"),
        (3, "paths must be text"),
        (["m0", 3], "paths must be text"),
    ],
)
def test_a_path_that_is_none_is_refused_with_what_is_nearest(setting, path, said):
    with pytest.raises(SettingsError, match=said):
        patch_paths(setting("gpt2"), path)


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("m00->logits", {}, "unknown node 'm00': did you mean m0"),
        ("m0->logit", {}, "unknown slot 'logit': did you mean logits"),
        ("m0->a1.h1<w>->logits", {}, "did you mean a1.h1"),
        ("m0", {"rest": "mlp"}, "unknown rest 'mlp': did you mean mlps"),
        ("m0", {"direction": "noise"}, "did you mean noising or denoising"),
    ],
)
def test_unknown_names_have_the_nearest(setting, path, options, said):
    with pytest.raises(UnknownNameError, match=said):
        patch_paths(setting("gpt2"), path, **options)


def test_sets_that_come_apart_into_too_many_copies_are_refused(opened, monkeypatch):
    monkeypatch.setattr("acdc.analysis.treeified.MOST_COPIES", 5)
    with pytest.raises(SettingsError, match="give fewer at a time"):
        patch_paths(prepare(opened("gpt2")[1], pairs()), "input->logits", rest="recomputed")


def test_a_paths_edges_are_named_a_slot_at_a_time():
    from acdc.analysis.pathnames import parse_paths

    graph = Graph.from_config(2, 2)
    (one,) = parse_paths(graph, "m0->a1.h0->logits")
    assert one.edges(graph) == ["m0->a1.h0<q>", "m0->a1.h0<k>", "m0->a1.h0<v>", "a1.h0->logits"]
    assert parse_paths(graph, "m0->a1.h0<q>")[0].edges(graph) == ["m0->a1.h0<q>"]

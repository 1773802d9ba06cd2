"""Attribution split by spans: the parts add up to the whole, and each is that of its own tokens."""

from dataclasses import replace

import numpy as np
import pytest
from attributions import FAMILIES, LINEAR, setting_of

from acdc.engine.setting import prepare
from acdc.errors import SettingsError
from acdc.methods.attribution import edge_attribution
from acdc.methods.spans import OTHER, edge_attribution_by_span


def spanned(setting, spans):
    """The same prompts, each with these spans."""
    pairs = [replace(pair, spans=spans) for pair in setting.prompts.pairs]
    return prepare(setting.model, replace(setting.prompts, pairs=pairs), ablation=setting.ablation)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_at_all_spans_add_up_to_the_score(family):
    setting = spanned(setting_of(family), {"subject": ((0, 2),), "verb": ((1, 3), (4, 5))})
    found = edge_attribution_by_span(setting, LINEAR, steps=3, rule="midpoint")
    whole = edge_attribution(setting, LINEAR, steps=3, rule="midpoint")
    assert list(found) == ["subject", "verb", OTHER]
    assert np.abs(whole).max() > 0.01
    np.testing.assert_allclose(sum(found.values()), whole, rtol=0, atol=1e-12 * np.abs(whole).max())
    assert all(np.abs(scores).max() > 1e-6 for scores in found.values())


def test_a_span_of_all_tokens_has_everything_and_the_first_span_has_what_two_cover():
    setting = spanned(setting_of("gpt2"), {"all": ((0, 100),), "again": ((0, 2),)})
    found = edge_attribution_by_span(setting, LINEAR, steps=2)
    np.testing.assert_allclose(found["all"], edge_attribution(setting, LINEAR, steps=2), atol=1e-14)
    assert not found["again"].any()
    assert not found[OTHER].any()


def test_the_input_feeds_edges_only_where_the_prompts_differ():
    setting = setting_of("gpt2")
    pairs = [replace(pair, corrupted=pair.corrupted[:2] + pair.clean[2:]) for pair in setting.prompts.pairs]
    setting = spanned(replace(setting, prompts=replace(setting.prompts, pairs=pairs)), {"same": ((2, 100),)})
    found = edge_attribution_by_span(setting, LINEAR, steps=2)
    of_input = [edge.number for edge in setting.graph.edges() if edge.source.name == "input"]
    assert not found["same"][of_input].any()
    assert found[OTHER][of_input].any()
    assert found["same"].any()  # behind heads that carry the difference on


def test_prompts_without_spans_are_refused():
    with pytest.raises(SettingsError, match="name no spans"):
        edge_attribution_by_span(setting_of("gpt2"), LINEAR)
    with pytest.raises(SettingsError, match="a span other"):
        edge_attribution_by_span(spanned(setting_of("gpt2"), {OTHER: ((0, 1),)}), LINEAR)

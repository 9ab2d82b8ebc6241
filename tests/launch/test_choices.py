"""The page of choices says what the rules say, of every preset."""

import pytest

from coadapt import algorithms, schema
from coadapt.validation import config_rules
from tools import choices

PRESETS = list(algorithms.PRESETS)


def taken(at: str, value: object) -> set[str]:
    """Presets that take a choice, as the page has it."""
    (choice,) = (c for c in choices.choices() if (c.at, c.value) == (at, value))
    refused = choices.refusals(choice).values()
    return set(PRESETS) - {name for names in refused for name in names}


def test_the_page_has_the_presets_that_a_rule_is_about():
    """By what a preset's own classes say of it."""
    of = {name: algorithms.preset(name) for name in PRESETS}
    online = {name for name, c in of.items() if c.data.stored}
    sequences = {name for name, c in of.items() if not c.g_estimate.one_step}
    longer = {name for name, c in of.items() if c.g_estimate.length > 1}
    # of which other steps than the optimiser's find weights: a model like the policy,
    # a regression, L-BFGS
    modelled, solved, with_value = {"brac"}, {"power", "reps"}, {"iql"}
    assert taken("networks.*", "SimBa") == set(PRESETS)
    assert taken("networks.*", "SimbaV2") == set(PRESETS) - modelled - solved
    renormed = set(PRESETS) - sequences - longer - modelled - with_value
    assert taken("networks.*.norm", "BatchRenorm") == renormed
    assert {"sac", "mpo", "awac", "td3"} <= renormed and "ppo" not in renormed
    assert taken("reward", "ScaleReward") == online
    assert taken("g_estimate.trace", "TreeBackup") == set()


def test_a_choice_is_read_as_set_takes_it():
    """And what it needs beside it comes first."""
    (choice,) = (
        c
        for c in choices.choices()
        if c.at == "networks.*.norm.at" and c.value == "first"
    )
    made = choices.made(choice, "sac")
    norm = {"networks.policy.norm": "LayerNorm", "networks.policy.norm.at": "first"}
    norm |= {"networks.critic.norm": "LayerNorm", "networks.critic.norm.at": "first"}
    assert made == schema.override(algorithms.preset("sac"), norm)
    (half,) = (c for c in choices.choices() if c.value == "SymmetricSampling")
    assert choices.made(half, "sac").data.prefill == choices.SET


def test_what_the_page_allows_is_well_typed_too():
    """The page asks the rules alone; all else of `check` agrees, of a preset of each
    kind of data.
    """
    for choice in choices.choices():
        for name in ("mpo", "awr", "ppo", "iql"):
            if choices.refusal(choice, name) is None:
                config_rules.check(choices.made(choice, name))


@pytest.mark.parametrize(
    "sentence, why",
    [
        ("a.b is X: it must be Y.", "it must be Y"),
        ("a is 'X', but must be Y or Z; did you mean 'Z'?", "it must be Y or Z"),
    ],
)
def test_a_refusal_is_shortened(sentence, why):
    assert choices._why(sentence) == why

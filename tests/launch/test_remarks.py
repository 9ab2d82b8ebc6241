"""What a report says of agents that came to their end and are no result."""

import numpy as np
import pandas as pd
import pytest
import stores

from coadapt import sweep
from coadapt.report import remarks, run_data
from coadapt.sweep import Variant

TASK = "toy/lqr"
ONE = "in the last update one of the {} had nearly all the weight, so that the policy "
FIT = "is fitted to that one; a higher temperature spreads it."
ALONE = "one weight"
STILL = "the last update did not move it (kl is 0): G was the same at all steps, or no "
CLIPPED = {"pi_q_update.trust_region": "ClippedRatio", "schedule.policy_steps": 1}
# algorithm, changes; of two agents the last value of each metric; what is said
CASES = {
    "one of a batch": (
        (
            "awac",
            {"data.batch_size": 128},
            {"effective_fraction": (1 / 128, 1.6 / 128)},
        ),
        (ALONE, "1 of 2 agents: " + ONE.format("128 actions of a minibatch") + FIT),
    ),
    "one of a state": (
        ("mpo", {}, {"effective_fraction": (1.2 / 20, 1.4 / 20)}),
        (ALONE, "2 of 2 agents: " + ONE.format("20 actions of each state") + FIT),
    ),
    "some of a state": (("mpo", {}, {"effective_fraction": (0.1, 0.9)}), None),
    "weights are not compared": (
        ("urex", {}, {"effective_fraction": (1e-3, 1e-3)}), None
    ),
    "one of an iteration's episodes": (
        ("urex", {}, {"effective_episodes": (1.2, 1.6)}),
        (
            "one episode",
            "1 of 2 agents: in the last update one episode had nearly all the weight, "
            "so that the policy is fitted to that one; a higher temperature, or more "
            "episodes an iteration, spreads it.",
        ),
    ),
    "one episode alone": (
        ("urex", {}, {"effective_episodes": (np.nan, 2), "policy_norm": (1, 1)}), None
    ),
    "no step left": (
        ("awr", {}, {"critic_loss": (np.nan, 1.0), "value": (np.nan, 1.0)}),
        (
            "updates",
            "1 of 2 agents: the last update had no step to learn from, as "
            "data.drop_last leaves out the last of each episode.",
        ),
    ),
    "one metric is not there": (
        ("awr", {}, {"critic_loss": (np.nan, 1.0), "value": (1.0, 1.0)}), None
    ),
    "a constant": (
        ("trpo", {}, {"kl": (0.0, 0.01)}),
        ("policy", f"1 of 2 agents: {STILL}step was better."),
    ),
    "a constant, penalised": (
        ("ppo", {}, {"kl": (0.0, 0.0)}),
        ("policy", f"2 of 2 agents: {STILL}step was better."),
    ),
    "before the one step": (("ppo", CLIPPED, {"kl": (0.0, 0.0)}), None),
    "a data set, while its model alone is fitted": (
        ("sac", {}, {"critic_loss": (np.nan, np.nan)}), None
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_update_that_taught_nothing_is_said(case, tmp_path):
    (name, changes, ends), said = CASES[case]
    (preset,) = sweep.presets([name])
    made = Variant(name, name, sweep.change(preset.config, changes))
    stores.build(tmp_path / "x", "s", {TASK: [made]}, {TASK: 20_000}, seeds=2)
    found = run_data.read(tmp_path / "x")
    rows = [
        found.frame.assign(
            metric=metric, value=found.frame.seed.map(dict(enumerate(x)))
        )
        for metric, x in ends.items()
    ]
    frame = pd.concat([found.frame, *rows], ignore_index=True)
    there = remarks.of(found._replace(versions={"": frame}))
    assert there == ([(said[0], f"{name} on {TASK}, {said[1]}")] if said else [])
    dead = frame.assign(value=np.where(frame.metric == "return", np.nan, frame.value))
    assert (
        remarks.of(found._replace(versions={"": dead})) == []
    )  # failed, which is said apart


def test_variants_of_which_the_same_is_true_share_a_sentence(tmp_path):
    made = {TASK: sweep.presets(["awac", "mpo", "power"])}
    stores.build(tmp_path / "x", "s", made, {TASK: 20_000}, seeds=1)
    found = run_data.read(tmp_path / "x")
    rows = found.frame.assign(metric="effective_fraction", value=1.0)
    frame = pd.concat([found.frame, rows], ignore_index=True)
    said = remarks.of(found._replace(versions={"": frame}))
    assert [name for name, _ in said] == ["weights", "weights"]  # PoWER's has a hint
    whose = "awac on toy/lqr, 1 of 1 agents; mpo on toy/lqr, 1 of 1 agents: all were"
    assert said[0][1].startswith(whose)
    name = f"{TASK} (of a simulator)"
    several = found._replace(versions={"": frame.assign(task=name)}, tasks={name: TASK})
    assert remarks.of(several)[0][1].startswith(f"awac on {name}, 1 of 1 agents; ")

"""Whether each preset learns: a section of docs/results.md from a store's rows.

    python -m benchmarks.learns            the section, printed
    python -m benchmarks.learns --write    docs/results.md

The store is of `--experiment=learns`, and its rule is in experiments/learns.py. What
doing nothing scores is measured once, and kept beside the store (`nothing.json`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats as distributions

from benchmarks import sections
from benchmarks.peers import tables
from coadapt import envs
from coadapt.analysis import multiple_testing
from coadapt.analysis.comparison import arms_of
from coadapt.analysis.score import Arm
from coadapt.envs import HostEnv
from coadapt.experiments import load
from coadapt.runs import store
from coadapt.schema import ConfigError
from coadapt.tasks import references
from coadapt.tasks.units import Unit

ROOT = Path(__file__).parents[1]
PLACE, PAGE = ROOT / "docs" / "results" / "learns", ROOT / "docs" / "results.md"
OURS, NOTHING = "ours", "nothing.json"  # a store, and a file
SECTION = "made by benchmarks.learns"
ALPHA = 0.025  # one-sided, of each bound


class Baseline(NamedTuple):
    """What a policy that learns nothing scores: mean of so many episodes."""

    mean: float
    error: float  # standard error
    episodes: int


class Above(NamedTuple):
    """How far a row's mean score is above a baseline."""

    value: float
    low: float  # 97.5% bound
    p: float  # of being no further than the baseline


class Found(NamedTuple):
    """Of a row on a task: its scores, beside a random policy and doing nothing."""

    env_steps: int
    scores: np.ndarray
    failed: int
    random: Above
    nothing: Above

    @property
    def learns(self) -> bool:
        return self.random.low > 0 and self.nothing.low > 0


def above(scores: np.ndarray, than: Baseline) -> Above:
    """By Welch, with Satterthwaite's degrees of freedom. Raises: ConfigError."""
    n = len(scores)
    if n < 2:
        raise ConfigError(f"{n} run has come to its end, and a bound takes two.")
    parts = [(scores.var(ddof=1) / n, n - 1), (than.error**2, than.episodes - 1)]
    total = sum(v for v, _ in parts)
    freedom = total**2 / sum(v**2 / f for v, f in parts) if total > 0 else n - 1
    error, value = math.sqrt(total), float(scores.mean() - than.mean)
    reach = float(distributions.t.isf(ALPHA, freedom))
    t = value / max(error, 1e-12)
    return Above(value, value - reach * error, float(distributions.t.sf(t, freedom)))


def holm(found: Sequence[Found]) -> list[bool]:
    """Which rows learn where all of their bounds share one alpha (Holm 1979)."""
    bounds = [each.p for f in found for each in (f.random, f.nothing)]
    corrected = multiple_testing.holm(bounds).reshape(-1, 2)
    return [bool(worst <= ALPHA) for worst in corrected.max(1)]


# ---------------------------------------------------------------- reading


def nothing(place: Path, tasks: Sequence[str]) -> dict[str, Baseline]:
    """What doing nothing scores on tasks; measured, and written, where it is not known.

    Raises: ConfigError, of a task that is stepped on a device.
    """
    path = place / NOTHING
    known = json.loads(path.read_text()) if path.exists() else {}
    found = {task: Baseline(*each) for task, each in known.items()}
    lacking = [task for task in tasks if task not in found]
    found |= {task: _still(task) for task in lacking}
    if lacking:
        path.write_text(json.dumps({t: list(b) for t, b in found.items()}, indent=1))
    return found


def _still(task: str) -> Baseline:
    """Of actions of 0, which are the middle of what an actuator takes."""
    env, spec = envs.make(task, references.EPISODES), envs.spec(task)
    if not isinstance(env, HostEnv):
        raise ConfigError(f"{task} is stepped on a device: nothing measures it here.")
    still = np.zeros((env.count, spec.action_size), np.float32)
    returns = references.host_returns(env, spec, lambda: still.copy())
    error = returns.std(ddof=1) / math.sqrt(returns.size)
    return Baseline(float(returns.mean()), float(error), returns.size)


def judged(place: Path) -> tuple[dict[tuple[str, str], Found], dict[str, Unit]]:
    """What each row and task says, and the tasks' units. Raises: ConfigError."""
    folder = store.folder(place / OURS)
    arms = arms_of(folder)
    units = {task: arm.unit for (task, _), arm in arms.items()}
    still = nothing(place, list(units))
    whole = {key: arm for key, arm in arms.items() if len(arm.seeds) > 1}
    return {key: _found(arm, still[key[0]]) for key, arm in whole.items()}, units


def _found(arm: Arm, still: Baseline) -> Found:
    unit, scores = arm.unit, arm.scores()
    if unit.random is None or unit.error is None:
        raise ConfigError(f"{arm.task}: the store has no random policy's return.")
    random = Baseline(unit.random, unit.error, unit.episodes)
    return Found(
        arm.env_steps,
        scores,
        int(arm.failed.sum()),
        above(scores, random),
        above(scores, still),
    )


# ---------------------------------------------------------------- the section

HEAD = """\
## Which rows of Table 1 learn

```
python -m launch.sweep --experiment=learns --workdir=docs/results/learns/ours
python -m benchmarks.learns --write
```

Presets with default settings, on tasks for which they were not tuned; the plan is in \
`experiments/learns.py`. Scores are the mean of a run's last evaluations: mean ± std \
(n - 1) over seeds (number of seeds). *above random* and *above nothing* are the \
difference from a random policy and from zero actions, with Welch's lower 97.5% bound; \
a row learns if both bounds are above 0. *Holm*: also after Holm's correction over all \
bounds of the table.
"""
COLUMNS = ("row", "steps", "score", "above random", "above nothing", "learns", "Holm")


def section(
    found: Mapping[tuple[str, str], Found],
    units: Mapping[str, Unit],
    still: Mapping[str, Baseline],
) -> str:
    """Markdown: a table a task, and a sentence on what does not learn."""
    strict = dict(zip(found, holm(list(found.values())), strict=True))
    parts = [HEAD]
    for task in dict.fromkeys(task for task, _ in found):
        of = {row: each for (t, row), each in found.items() if t == task}
        lines = [_line(row, each, strict[task, row]) for row, each in of.items()]
        table = "".join(f"{line}\n" for line in tables.markdown(COLUMNS, lines))
        parts.append(f"{task}: {_baselines(units[task], still[task])}\n\n{table}")
    none = [
        f"{row} on {task}" for (task, row), each in found.items() if not each.learns
    ]
    words = f"Not shown to learn: {', '.join(none)}." if none else "All learn."
    return "\n".join([*parts, f"**{words}**\n"])


def _baselines(unit: Unit, still: Baseline) -> str:
    return (
        f"a random policy earns {unit.random:,.1f} ± {unit.error:.1f} ({unit.episodes} "
        f"episodes, standard error), zero actions {still.mean:,.1f} ± "
        f"{still.error:.1f} ({still.episodes})."
    )


def _line(row: str, found: Found, strict: bool) -> tuple[str, ...]:
    scores = found.scores
    told = f"{scores.mean():,.1f} ± {scores.std(ddof=1):,.1f} ({len(scores)})"
    if found.failed:
        told += f", {found.failed} failed"
    bounds = [
        f"{a.value:+,.1f}, > {a.low:+,.1f}" for a in (found.random, found.nothing)
    ]
    said = ["yes" if each else "no" for each in (found.learns, strict)]
    return (row, f"{found.env_steps:,}", told, *bounds, *said)


def made(place: Path = PLACE) -> str:
    """The section of a store. Raises: ConfigError."""
    found, units = judged(place)
    text = section(found, units, nothing(place, list(units)))
    plan = load("learns")
    cells = sum(len(plan.variants(task)) for task in plan.tasks)
    if len(found) < cells:
        text += (
            f"\n{len(found)} of the plan's {cells} combinations of row and task have "
            "been run.\n"
        )
    return text


def main(argv: Sequence[str] | None = None) -> None:
    sections.command(__doc__, made, PLACE, PAGE, SECTION, argv)


if __name__ == "__main__":
    main()

"""What a toggle does to one algorithm or two: effects with intervals, and a verdict.

An effect is a sum of means of independent arms, each with its weight: the mean with the
toggle less that without, averaged over tasks. Its interval is Welch's t: runs of two
variants with equal seeds have nothing in common. A verdict is one of words of which no
two can be true at once, m being the margin:
    helps both               both lower ends are above m
    harms both               both upper ends are below -m
    co-adapted: helps A only   A's lower end is above m, B's upper end below m
    co-adapted: harms A only   A's upper end is below -m, B's lower end above -m, and B
                             is not helped: else it is 'helps B only'
    no effect on either      both intervals lie between -m and m
    not decided              all else
Each part is a one-sided test at 2.5% (the end of a 95% interval). A word that needs two
parts is wrong no more often than one of them: Berger 1982, intersection-union tests.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from scipy import special
from scipy import stats as distributions

from coadapt.schema import ConfigError

LEAST = 10  # seeds of each arm, below which there is no verdict
LEVEL = 0.95
ALPHA = (1 - LEVEL) / 2  # of each part of a verdict
POWER = 0.8
MOST = 10_000  # seeds: a larger number is not named
ROUNDING = 1e-12  # of a mean: the error that equal numbers may have

HELPS, HARMS, NOTHING = "helps", "harms", "no effect"  # of one algorithm
HELPS_BOTH, HARMS_BOTH = "helps both", "harms both"
HELPS_A, HELPS_B = "co-adapted: helps A only", "co-adapted: helps B only"
HARMS_A, HARMS_B = "co-adapted: harms A only", "co-adapted: harms B only"
SPLIT = (HELPS_A, HELPS_B, HARMS_A, HARMS_B)
NEITHER = "no effect on either"
UNDECIDED, HANGS, NONE = "not decided", "depends on failures", "no verdict"

# what each word says of A, and of B; see `_part`
WORDS: dict[str, tuple[str, ...]] = {
    HELPS: ("up",),
    HARMS: ("down",),
    NOTHING: ("within",),
    HELPS_BOTH: ("up", "up"),
    HARMS_BOTH: ("down", "down"),
    HELPS_A: ("up", "under"),
    HELPS_B: ("under", "up"),
    HARMS_A: ("down", "above"),
    HARMS_B: ("above", "down"),
    NEITHER: ("within", "within"),
}

Part = tuple[float, np.ndarray]  # a weight, and the scores of an arm [..., seeds]


# ---------------------------------------------------------------- effects


def welch(parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A weighted sum of means of arms: its value, standard error, degrees of freedom.

    Args:
        parts: weights with scores [..., n], n of each arm.
    Returns:
        arrays [...]. The error is NaN with fewer than two runs in an arm, the value
        with none.

    Source: Welch 1947; Satterthwaite 1946.
    """
    value, total, below = np.zeros(()), np.zeros(()), np.zeros(())
    for weight, scores in parts:
        number = scores.shape[-1]
        value = value + weight * (scores.mean(-1) if number else np.nan)
        spread = scores.var(-1, ddof=1) if number > 1 else np.nan
        own = weight**2 * spread / max(number, 1)
        total, below = total + own, below + own**2 / max(number - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return value, np.sqrt(total), np.asarray(total**2 / below)


@functools.lru_cache(maxsize=4096)
def t_quantile(p: float, freedom: float) -> float:
    """Student's; the normal one where degrees of freedom are infinite."""
    return float(distributions.t.ppf(p, freedom))


@dataclasses.dataclass(frozen=True)
class Effect:
    """An effect with its interval, in the unit of its scores."""

    value: float
    error: float  # standard error; NaN where no spread is known
    freedom: float  # degrees of it
    g: float = math.nan  # Hedges': in pooled stds of its arms, the mean over tasks
    seeds: int = 0  # of the smallest arm
    variances: tuple[float, ...] = ()  # of each arm's runs, times its weight's square
    alpha: float = ALPHA  # beyond each end of the interval

    @property
    def half(self) -> float:
        """Half of the interval's width; NaN where no spread is known."""
        return self.error * t_quantile(1 - self.alpha, self.freedom)

    @property
    def low(self) -> float:
        return self.value - self.half

    @property
    def high(self) -> float:
        return self.value + self.half

    @property
    def defined(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.half)

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval is above or below 0, otherwise 0."""
        return int(self.low > 0) - int(self.high < 0)

    def p(self, part: str, margin: float) -> float:
        """One-sided p of a part of a verdict; NaN where there is no interval."""
        if part == "within":
            return max(self.p("above", margin), self.p("under", margin))
        edge = margin if part in ("up", "under") else -margin
        side = distributions.t.sf if part in ("up", "above") else distributions.t.cdf
        beyond = self.value - edge
        t = beyond / self.error if self.error else math.inf * beyond
        return float(side(t, self.freedom))

    def of(self, seeds: int) -> tuple[float, float]:
        """Standard error and degrees of freedom with so many seeds per arm."""
        parts = np.array(self.variances)
        total, squares = parts.sum(), (parts**2).sum()
        freedom = (seeds - 1) * total**2 / squares if squares else math.inf
        return math.sqrt(total / seeds), float(freedom)


def effect(parts: Sequence[Part], g: float = math.nan, alpha: float = ALPHA) -> Effect:
    """That of arms with their weights and scores [n].

    Where all runs of each arm are equal no spread is known, and there is no interval.

    Args:
        alpha: beyond each end of the interval.
    """
    value, error, freedom = (float(x) for x in welch(parts))
    size = max(float(np.abs(scores).max(initial=0.0)) for _, scores in parts)
    return Effect(
        value,
        error if error > ROUNDING * size else math.nan,
        freedom,
        g,
        min(scores.size for _, scores in parts),
        tuple(
            weight**2 * float(scores.var(ddof=1)) if scores.size > 1 else math.nan
            for weight, scores in parts
        ),
        alpha,
    )


def of_means(parts: Sequence[tuple[float, float, float, int]]) -> Effect:
    """That of published means: weights with mean, std (ddof=1) and seeds of each arm.

    A std of 0 is taken for exact, such as that of a cell that diverged.
    """
    own = [(weight * std) ** 2 for weight, _, std, _ in parts]
    errors = np.array([x / n for x, (*_, n) in zip(own, parts, strict=True)])
    below = sum(x**2 / (n - 1) for x, (*_, n) in zip(errors, parts, strict=True))
    return Effect(
        float(sum(weight * mean for weight, mean, _, _ in parts)),
        math.sqrt(errors.sum()),
        float(errors.sum() ** 2 / below) if below else math.inf,
        seeds=min(n for *_, n in parts),
        variances=tuple(own),
    )


def hedges(on: np.ndarray, off: np.ndarray) -> float:
    """Hedges' g of two arms [n], [m]: in pooled stds, without the bias of small arms.

    NaN where the pooled std is 0 or not known. Source: Hedges 1981, with the gamma
    function.
    """
    freedom = on.size + off.size - 2
    if min(on.size, off.size) < 2:
        return math.nan
    within = ((on - on.mean()) ** 2).sum() + ((off - off.mean()) ** 2).sum()
    pooled = math.sqrt(within / freedom)
    if not pooled > ROUNDING * max(abs(on).max(), abs(off).max()):
        return math.nan
    logs = special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2)
    correction = math.exp(logs) / math.sqrt(freedom / 2)
    return float(correction * (on.mean() - off.mean()) / pooled)


# ---------------------------------------------------------------- verdicts


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A word, and what stands behind it."""

    word: str
    detail: str = ""  # what of the other algorithm; why there is none
    p: float = math.nan  # the largest one-sided p of its parts
    seeds: int | None = None  # an arm, that would decide it, if all is as estimated
    # of the word, where it is wrong: at most, if no arm fails; None: no claim is made
    wrong: float | None = None
    # where an arm may fail: how often the word is said where it is wrong, simulated
    wrong_with_failures: float | None = None

    @property
    def decided(self) -> bool:
        """Whether anything is claimed."""
        return self.word in WORDS


def claims(low: np.ndarray, high: np.ndarray, margin: float) -> dict[str, np.ndarray]:
    """Which word holds: at most one.

    Args:
        low: lower ends of intervals [algorithms, ...], of one or two; NaN: none.
        high: upper ends, as there.
    Returns:
        bool arrays [...] by word.
    """
    part = {
        "up": low > margin,
        "down": high < -margin,
        "under": high < margin,
        "above": low > -margin,
    }
    part["within"] = part["under"] & part["above"]
    found = {
        word: np.all([part[name][i] for i, name in enumerate(names)], axis=0)
        for word, names in WORDS.items()
        if len(names) == len(low)
    }
    if len(low) == 2:  # B gains where A loses: 'helps B only' says it
        found[HARMS_A] &= ~part["up"][1]
        found[HARMS_B] &= ~part["up"][0]
    return found


def require_margin(margin: float) -> None:
    """Raises: ConfigError unless it is positive and finite."""
    if not 0 < margin < math.inf:
        raise ConfigError(f"margin is {margin!r}: it must be a positive number.")


def judge(effects: Sequence[Effect], margin: float, least: int = LEAST) -> Verdict:
    """The verdict on one effect, or on two.

    Args:
        effects: of the toggle on A, and on B.
        margin: what is no effect of note, in the effects' unit.
        least: seeds of each arm, with fewer of which nothing is claimed.
    Raises:
        ConfigError: on a margin that is not positive.
    """
    require_margin(margin)
    needed = seeds_to_decide(effects, margin, least)
    few = too_few(min(each.seeds for each in effects), least)
    if few:
        return Verdict(NONE, few, seeds=needed)
    if not all(each.defined for each in effects):
        return Verdict(UNDECIDED, "all runs are equal: no spread is known")
    low, high = (np.array([getattr(e, n) for e in effects]) for n in ("low", "high"))
    found = [word for word, holds in claims(low, high, margin).items() if holds]
    if not found:
        return Verdict(UNDECIDED, seeds=needed)
    (word,) = found
    p = p_of(word, effects, margin)
    alpha = max(each.alpha for each in effects)
    return Verdict(word, _detail(word, effects, margin), p, wrong=alpha)


def p_of(word: str, effects: Sequence[Effect], margin: float) -> float:
    """The largest one-sided p of a word's parts."""
    pairs = zip(effects, WORDS[word], strict=True)
    return max(each.p(part, margin) for each, part in pairs)


def too_few(seeds: int, least: int = LEAST) -> str:
    """Why so many seeds of the smallest arm give no verdict; '' if they may."""
    if seeds >= least:
        return ""
    return f"{seeds} seed{'s' * (seeds != 1)} per arm: a verdict needs {least}"


def _detail(word: str, effects: Sequence[Effect], margin: float) -> str:
    """Of a co-adapted toggle: 'B harmed', 'B unchanged', or that it is not known."""
    if word not in SPLIT:
        return ""
    i = 1 if word in (HELPS_A, HARMS_A) else 0
    other, name = effects[i], "AB"[i]
    if -margin < other.low and other.high < margin:
        return f"{name} unchanged"
    if word in (HARMS_A, HARMS_B):
        return f"{name} unchanged or helped"
    return f"{name} harmed" if other.high < -margin else f"{name} unchanged or harmed"


def named(text: str, labels: Sequence[str]) -> str:
    """A word or its detail, with the algorithms' names for A and B."""
    names = dict(zip("AB", labels, strict=False))
    return " ".join(names.get(word, word) for word in text.split(" "))


# ---------------------------------------------------------------- how many seeds


def power(effects: Sequence[Effect], margin: float, seeds: int) -> float:
    """How probable it is that so many seeds per arm decide what the effects are.

    As if their values and stds were the true ones. With Student's quantile and a normal
    estimate, which is close to the noncentral t from ten seeds on.
    """
    values = np.array([each.value for each in effects])
    true = claims(values, values, margin)
    words = [word for word, holds in true.items() if holds]
    if not words:
        return 0.0  # on a margin's edge
    return math.prod(
        _chance(each, part, margin, seeds)
        for each, part in zip(effects, WORDS[words[0]], strict=True)
    )


def _chance(each: Effect, part: str, margin: float, seeds: int) -> float:
    error, freedom = each.of(seeds)
    if not error:
        return 1.0
    ends = {
        "up": [each.value - margin],
        "above": [each.value + margin],
        "down": [-margin - each.value],
        "under": [margin - each.value],
        "within": [margin - each.value, margin + each.value],
    }[part]
    cut = t_quantile(1 - each.alpha, freedom)
    chances = [float(distributions.norm.cdf(x / error - cut)) for x in ends]
    return max(sum(chances) - len(chances) + 1, 0.0)


def seeds_to_decide(
    effects: Sequence[Effect], margin: float, least: int = LEAST, goal: float = POWER
) -> int | None:
    """The fewest seeds per arm that decide what the effects are, with this power.

    As if the estimates were true, which few seeds tell badly. None where a spread is
    not known, or where it takes more than `MOST`.
    """
    if any(math.isnan(sum(each.variances)) for each in effects):
        return None
    few, many = least, MOST
    if power(effects, margin, many) < goal:
        return None
    while few < many:
        middle = (few + many) // 2
        enough = power(effects, margin, middle) >= goal
        few, many = (few, middle) if enough else (middle + 1, many)
    return many

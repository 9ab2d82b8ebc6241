"""Writes tests/data/rliable.json: what rliable makes of fixed scores.

    pip install rliable 'pandas<3' && python -m tools.rliable_numbers

tests/test_rliable.py holds `coadapt.stats` against it, and does not need rliable.
"""

import importlib.metadata
import json
from pathlib import Path

import numpy as np

PLACE = Path(__file__).parents[1] / "tests" / "data" / "rliable.json"
REPS = 2_000  # resamples of an interval
TAUS = [-0.5, 0.0, 0.25, 0.5, 1.0, 2.0]


def scores() -> dict[str, np.ndarray]:
    """[runs, tasks] of two algorithms: skewed, with ties and an outlier."""
    rng = np.random.default_rng(0)
    x = rng.gamma(2.0, 0.4, (10, 4)) * [1.0, 0.5, 2.0, 1.0]
    y = rng.gamma(2.0, 0.3, (8, 4)) * [1.0, 0.5, 2.0, 1.0]
    x[0, 0], x[1, 1], y[2, 3] = -3.0, 0.25, 9.0
    y[0, 1] = x[2, 1]
    return {"x": x.round(6), "y": y.round(6)}


def main() -> None:
    from rliable import library, metrics  # pyright: ignore[reportMissingImports]

    made = scores()
    both = made["x"], made["y"]
    single = {
        "mean": metrics.aggregate_mean,
        "median": metrics.aggregate_median,
        "iqm": metrics.aggregate_iqm,
    }
    found: dict[str, object] = {
        "rliable": importlib.metadata.version("rliable"),
        "scores": {name: each.tolist() for name, each in made.items()},
        "improvement": float(metrics.probability_of_improvement(*both)),
        "taus": TAUS,
        "profile": {
            name: [float(library.run_score_deviation(each, tau)) for tau in TAUS]
            for name, each in made.items()
        },
    }
    for name, each in single.items():
        found[name] = {key: float(each(value)) for key, value in made.items()}
        _, ends = library.get_interval_estimates(
            made, lambda x, each=each: np.array([each(x)]), reps=REPS
        )
        found[f"{name} interval"] = {k: v[:, 0].tolist() for k, v in ends.items()}
    _, ends = library.get_interval_estimates(
        {"x,y": both},
        lambda x, y: np.array([metrics.probability_of_improvement(x, y)]),
        reps=REPS,
    )
    found["improvement interval"] = ends["x,y"][:, 0].tolist()
    PLACE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

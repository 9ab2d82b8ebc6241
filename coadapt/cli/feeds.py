"""Where the rows of a run go beside results.csv, and what is shown of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from coadapt import progress, sinks, sweep
from coadapt.cli.values import Values, get


@contextlib.contextmanager
def fed(values: Values, folder: Path) -> Iterator[sinks.Feed]:
    """Where rows go beside results.csv, as flags say.

    Raises: ConfigError.
    """
    project = get(values, "wandb")
    asked: list[sinks.Sink] = []
    if get(values, "tensorboard"):
        asked.append(sinks.named(sinks.TENSORBOARD, folder, ""))
    if project is not None:
        asked.append(sinks.named(sinks.WANDB, folder, project or sinks.PROJECT))
    feed = sinks.Feed(folder, asked)
    try:
        yield feed
        feed.rest()
    finally:
        feed.close()


def tell_both(tell: progress.Tell, feed: sinks.Feed, event: sweep.Progress) -> None:
    """A program that begins, or its newest rows, to the screen and to the feed."""
    tell(event)
    if event.report is None:
        feed.close()
        feed.begin(event.group.cells)
    else:
        feed.land(event.group.cells, event.report.steps, event.report.metrics)

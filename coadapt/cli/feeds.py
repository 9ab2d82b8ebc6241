"""Where the rows of a run go beside results.csv, and what is shown of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from coadapt import progress, sweep
from coadapt.cli.values import Values, get
from coadapt.metrics import writers


@contextlib.contextmanager
def fed(values: Values, folder: Path) -> Iterator[writers.Feed]:
    """Where rows go beside results.csv, as flags say.

    Raises: ConfigError.
    """
    project = get(values, "wandb")
    asked: list[writers.Sink] = []
    if get(values, "tensorboard"):
        asked.append(writers.named(writers.TENSORBOARD, folder, ""))
    if project is not None:
        asked.append(writers.named(writers.WANDB, folder, project or writers.PROJECT))
    feed = writers.Feed(folder, asked)
    try:
        yield feed
        feed.rest()
    finally:
        feed.close()


def tell_both(tell: progress.Tell, feed: writers.Feed, event: sweep.Progress) -> None:
    """A program that begins, or its newest rows, to the screen and to the feed."""
    tell(event)
    if event.report is None:
        feed.close()
        feed.begin(event.group.cells)
    else:
        feed.land(event.group.cells, event.report.steps, event.report.metrics)

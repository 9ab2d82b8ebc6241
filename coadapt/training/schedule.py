"""After which env steps an agent's updates come."""

from coadapt.config import Config


def first_update(config: Config) -> int:
    """The env step, counted from 1, that the first update follows: see `due`."""
    period = config.data.period
    return max(-(-config.data.learning_starts // period), 1) * period


def due(config: Config, steps: int) -> int:
    """How many updates follow env step number `steps` (counted from 1)."""
    data = config.data
    if steps < data.learning_starts or steps % data.period:
        return 0
    return data.updates_at_once


def first_updates(config: Config) -> int:
    """How many updates come before the first env step."""
    return config.data.pretrain_updates

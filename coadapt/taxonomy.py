"""The paper's Tables 1 and 4, read off the presets: no cell is written down here."""

import csv
import io
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coadapt import algorithms
from coadapt.config import Config
from coadapt.factors.pi_p import PiP
from coadapt.networks import Init, Torsos
from coadapt.schema import ConfigError, nearest
from coadapt.system.console import printable
from coadapt.system.csv_text import word

Row = dict[str, str]
Renderer = Callable[[Sequence[Row]], str]


# ---------------------------------------------------------------- Table 1


def table1(configs: Mapping[str, Config] | None = None) -> list[Row]:
    """A row a method: the family, then the seven factors. None: the paper's."""
    if configs is None:
        configs = {name: algorithms.preset(name) for name in algorithms.TABLE1}
    return [_row1(name, config) for name, config in configs.items()]


def later() -> list[Row]:
    """Rows as Table 1's, of the presets that it lacks."""
    return table1({name: algorithms.preset(name) for name in algorithms.LATER})


_NAMES = {
    "power": "PoWER",
    "vmpo": "V-MPO",
    "ppo_details": "PPO (details)",
    "td3_bc": "TD3+BC",
    "rebrac": "ReBRAC",
    "crossq": "CrossQ",
    "droq": "DroQ",
    "sac_simba": "SimBa-SAC",
    "sac_simbav2": "SimbaV2-SAC",
    "sac_bro": "BRO",
}  # what is no preset's name in capitals


def _method(name: str) -> str:
    """As its paper writes it."""
    name = name.removesuffix("_table1")
    return _NAMES.get(name, name.upper())


def _row1(name: str, config: Config) -> Row:
    return {
        "method": _method(name),
        "control": "KL" if config.pi_q.parametric else "EM",
        "pi_q": config.pi_q.symbol,
        "pi_p": config.pi_p.symbol,
        "pi_q update": config.pi_q_update.symbol,
        "pi_p update": config.pi_p.update_symbol(config.pi_p_update.symbol),
        "G": config.g.symbol + _whose(config),
        "G estimate": _g_estimate(config),
        "pi_theta": config.pi_theta.symbol,
    }


def _whose(config: Config) -> str:
    """Whose value G is: the prior's, unless the posterior's own critic is climbed."""
    if not config.g.of_policy:
        return ""
    own = config.pi_q.parametric and not config.pi_p.last_posterior
    return "^{pi_q}" if own else "^{pi_p}"


def _g_estimate(config: Config) -> str:
    """'+ TD3' where a policy climbs the minimum of several critics.

    The paper does not print it for AWAC, whose twins weigh stored actions only.
    """
    estimate = config.g_estimate
    climbed = estimate.ensemble_symbol() if config.pi_q.parametric else ""
    said = (estimate.symbol, climbed, config.critic.head.symbol)
    return " + ".join(word for word in said if word)


COLUMNS = {  # as Table 1 names them
    "pi_q": "pi_q",
    "pi_p": "pi_p",
    "pi_q_update": "pi_q update",
    "pi_p_update": "pi_p update",
    "g": "G",
    "g_estimate": "G estimate",
    "pi_theta": "pi_theta",
}


def maths(config: Config, column: str) -> Callable[..., Any] | None:
    """The method that has a cell's line of maths; None where nothing is computed."""
    return getattr(config, column).maths(config)


# ---------------------------------------------------------------- Table 4


def table4(configs: Mapping[str, Config] | None = None) -> list[Row]:
    """A row a method: networks and optimisers as they are. None: the paper's."""
    if configs is None:
        configs = {name: algorithms.preset(name) for name in algorithms.TABLE1}
    return [_row4(name, config) for name, config in configs.items()]


def _row4(name: str, config: Config) -> Row:
    nets, optim = config.networks, config.optim
    policy, critic = nets.policy, nets.critic
    return {
        "method": _method(name),
        "sizes (policy)": policy.symbol,
        "sizes (value)": critic.symbol,
        "activation": _both(_activation(policy), _activation(critic)),
        "layer norm": _both(policy.norm_symbol, critic.norm_symbol),
        "input norm": "yes" if nets.input_norm else "-",
        "optimizer": _both(optim.policy.symbol, optim.critic.symbol),
        "rate (policy)": _number(optim.policy.rate),
        "rate (value)": _number(optim.critic.rate),
        "weights": _both(_weights(policy.start), _weights(critic.start)),
        "output weights (policy)": _init(policy.output),
    }


def _both(policy: str, critic: str) -> str:
    return policy if policy == critic else f"{policy} / {critic}"


def _activation(net: Torsos) -> str:
    return {"relu": "ReLU", "elu": "ELU"}.get(net.activation, net.activation)


def _weights(init: Init) -> str:
    return init.weights.replace("_", " ")


def _init(init: Init) -> str:
    return f"{_weights(init)} {_number(init.scale)}"


def _number(value: float) -> str:
    """'3e-4' for 0.0003, '0.9' for 0.9."""
    text = f"{value:g}"
    if 0 < abs(value) < 0.01 or "e" in text:
        digits, exponent = f"{value:e}".split("e")
        return f"{float(digits):g}e{int(exponent)}"
    return text


# ---------------------------------------------------------------- formats


STYLES = ("text", "markdown", "csv")


def require_style(style: str) -> None:
    """Raises: ConfigError, unless it is one of `STYLES`."""
    if style not in STYLES:
        raise ConfigError(
            f"format is {style!r}: it must be one of {', '.join(STYLES)}"
            f"{nearest(style, STYLES)}"
        )


def render(rows: Sequence[Row], style: str) -> str:
    """The rows as 'text', 'markdown' or 'csv'.

    Raises: ConfigError.
    """
    require_style(style)
    renderers: dict[str, Renderer] = {"text": _text, "markdown": _markdown, "csv": _csv}
    return renderers[style](rows)


def _columns(rows: Sequence[Row]) -> list[list[str]]:
    """Cells by column, the name on top."""
    names = rows[0] if rows else ()
    return [[printable(x) for x in (n, *(row[n] for row in rows))] for n in names]


def _aligned(rows: Sequence[Row]) -> list[list[str]]:
    columns = _columns(rows)
    padded = [[cell.ljust(max(map(len, c))) for cell in c] for c in columns]
    return [list(line) for line in zip(*padded, strict=True)]


def _groups(rows: Sequence[Row]) -> list[int]:
    """Of each row: those that collect their own data, then offline, then later ones."""
    kinds = typing.get_args(PiP)
    by_others = {kind().symbol for kind in kinds if kind.by_others}
    later = {_method(name) for name in algorithms.LATER}
    return [
        2 if row.get("method") in later else int(row.get("pi_p") in by_others)
        for row in rows
    ]


def _ruled(rows: Sequence[Row], lines: list[str], rule: str) -> str:
    """The header, a rule, the rows; another rule before each other group of them."""
    made, groups = [*lines[:1], rule], _groups(rows)
    for before, group, line in zip(
        groups[:1] + groups, groups, lines[1:], strict=False
    ):
        made += [rule, line] if group != before else [line]
    return "\n".join(made)


def _text(rows: Sequence[Row]) -> str:
    lines = ["  ".join(line).rstrip() for line in _aligned(rows)]
    return _ruled(rows, lines, "-" * max(map(len, lines), default=0))


def _markdown(rows: Sequence[Row]) -> str:
    cells = _aligned(rows)
    lines = [f"| {' | '.join(line)} |" for line in cells]
    rule = " | ".join("-" * len(cell) for cell in cells[0]) if cells else ""
    return _ruled(rows, lines, f"| {rule} |")


def _csv(rows: Sequence[Row]) -> str:
    out = io.StringIO()
    lines = zip(*_columns(rows), strict=True)
    csv.writer(out, lineterminator="\n").writerows(map(word, line) for line in lines)
    return out.getvalue().rstrip("\n")

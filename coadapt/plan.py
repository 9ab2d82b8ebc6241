"""The programs of a plan, one after the other: what runs in each, and at what cost."""

import textwrap
from collections.abc import Sequence

from coadapt.analysis import toggles
from coadapt.sweep import Plan, Program, human_bytes
from coadapt.system import console

_INDENT = 5


def lines(plan: Plan) -> list[str]:
    """Those of `Plan.lines`, then each program's: none is wider than the terminal.

    But a variant's name is as the rows will have it, and never cut. Programs that
    differ in their task alone are told together.
    """
    alike: dict[tuple, list[Program]] = {}
    for each in plan.each:
        key = each.variants, tuple(each.differs.items()), each.agents
        alike.setdefault(key, []).append(each)
    told = [_program(i, group) for i, group in enumerate(alike.values(), 1)]
    return [*plan.lines(), *(line for each in told for line in each)]


def _program(number: int, alike: Sequence[Program]) -> list[str]:
    """Variants and tasks; cost; the fields that make it a program of its own."""
    first, width = alike[0], console.width()
    places = len(dict.fromkeys(each.task for each in alike))
    tasks = first.task if places == 1 else f"on each of {places} tasks"
    if len(alike) > places:  # seeds that do not fit into memory together
        tasks += f", {len(alike)} runs one after the other"
    more = len(first.variants) - 1
    others = f" and {more} more" if more else ""
    who, rest = f"{number:>{_INDENT - 2}}. {first.variants[0]}", f"{others}, {tasks}"
    if len(who + rest) <= width:
        who, rest = who + rest, ""
    most = max(each.memory_bytes for each in alike)
    cost = (
        f"agents: {sum(each.agents for each in alike):,}",
        f"memory: {human_bytes(most)}",
        f"env steps: {sum(each.env_steps for each in alike):,}",
        f"gradient steps: {sum(each.gradient_steps for each in alike):,} "
        f"({first.ratio} env steps)",
    )
    differs = ", ".join(f"{p}={toggles.label(v)}" for p, v in first.differs.items())
    told, margin = [who], f"{'':{_INDENT}}"
    told += [console.cut(f"{margin}{rest.lstrip(', ')}", width)] if rest else []
    told += textwrap.wrap(
        "; ".join(cost), width, initial_indent=margin, subsequent_indent=margin
    )
    return told + ([console.cut(f"{margin}{differs}", width)] if differs else [])

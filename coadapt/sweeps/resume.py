"""What is left to run of a sweep, and the snapshots that it goes on from."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax

from coadapt import devices, envs, runner
from coadapt.runs import attempts, checkpoint, leases, manifest, provenance
from coadapt.runs.store import Cell, Header, Start, finished
from coadapt.schema import ConfigError
from coadapt.sweeps.asked import Agent, Group, Sweep, steps_in
from coadapt.sweeps.packing import even, number_fitting, packs


class OtherMachineError(ConfigError):
    """A program goes on where products round as they did, and that is not here."""


class Planned(NamedTuple):
    """A program to run, and what it goes on from: places in a record, or None."""

    group: Group
    origin: checkpoint.Record | None = None
    places: tuple[int, ...] = ()
    begin: int = 0  # env steps of the snapshot

    @property
    def whole(self) -> bool:
        """Whether it is the program that it goes on from, with all of its agents."""
        return self.origin is not None and self.group.cells == [*self.origin.cells]


def planned(
    sweep: Sweep,
    workdir: Path,
    about: Header,
    memory: int | None,
    most: int | None = None,
) -> list[Planned]:
    """Programs that were begun, with the agents that they had; then all others.

    They come in the order of the sweep, and nothing is written.

    Raises: ConfigError, StoreError.
    """
    done = done_of(workdir, about)
    todo = {
        Cell(task, variant.name, seed): Agent(variant, seed)
        for task, variants in sweep.variants.items()
        for variant in variants
        for seed in sweep.seeds
        if Cell(task, variant.name, seed) not in done
    }
    order = {cell: i for i, cell in enumerate(todo)}
    found: list[Planned] = []
    begun = [
        (checkpoint.newest(r, steps), steps, r)
        for r in checkpoint.records(workdir)
        # rows of a program that have lengths of their own now go on by themselves
        for steps in sorted({about.steps_of(c) for c in r.cells if c in todo})
    ]
    for begin, steps, record in sorted(begun, key=lambda each: -each[0]):
        places = [
            i
            for i, cell in enumerate(record.cells)
            if cell in todo and about.steps_of(cell) == steps
        ]
        agents = [todo.pop(record.cells[i]) for i in places]
        if agents:
            group = Group(record.cells[0].task, tuple(agents))
            prints = [about.entry(cell).fingerprint for cell in group.cells]
            checkpoint.refuse_other(record, places, prints)
            found += _parts(sweep, record, begin, places, group, memory)
    rest = packs(sweep, set(order) - set(todo) | done, memory, most)
    found += [Planned(group) for group in rest]
    return sorted(found, key=lambda each: order[each.group.cells[0]])


def spread_over(planned: Planned, most: int) -> int:
    """The number of devices of a program: where it goes on whole, that which it had.

    Raises: StoreError.
    """
    number, origin = len(planned.group.agents), planned.origin
    if not planned.whole or origin is None:
        return devices.filling(number, most)
    said = [attempts.made(origin, home)["devices"] for home in origin.attempts()]
    had = [int(each) for each in said if each]
    # an older version, which did not say it, had a divisor
    return had[-1] if had else devices.dividing(number, most)


def devices_here(planned: Planned) -> int:
    """The same on this machine, where it may have fewer."""
    most = jax.local_device_count()
    number = spread_over(planned, most)
    if number > most:
        number = devices.filling(len(planned.group.agents), most)
    return number


def refuse_other_machine(planned: Iterable[Planned], workdir: Path) -> None:
    """Refuse to go on where products round otherwise, or with another simulator.

    Each program is held against the session of the attempt that it goes on from; what
    that does not say is not compared.

    Raises: OtherMachineError, StoreError.
    """
    sessions = {each["id"]: each for each in manifest.sessions(workdir)}
    for each in planned:
        homes = each.origin.attempts() if each.origin else []
        if not homes or each.origin is None:
            continue
        home = each.origin.at(each.begin).parent if each.begin else homes[-1]
        made = attempts.made(each.origin, home)
        there = provenance.deciding(sessions.get(made["session"], {}))
        here = provenance.deciding(provenance.here())
        there |= {"provider": made["provider"]} if made["provider"] else {}
        here["provider"] = envs.spec(each.group.task).provider
        if each.whole and made["devices"]:  # else it rounds by its size, too
            there[provenance.DEVICES] = str(made["devices"])
            places = devices.slots(len(each.group.agents), devices_here(each))
            here[provenance.DEVICES] = str(devices.mesh(places).size)
        _refuse_other(each.origin.folder.name, there, here)


def require_free_programs(planned: list[Planned]) -> list[Planned]:
    """The same.

    Raises:
        leases.HeldError: if another process runs one.
        StoreError:
    """
    for each in planned:
        if each.origin is not None:
            leases.require_free(each.origin.folder)
    return planned


def _refuse_other(
    program: str, there: Mapping[str, str], here: Mapping[str, str]
) -> None:
    """Raises: OtherMachineError, where what decides bits differs."""
    differs = provenance.differing(there, here)
    if not differs:
        return
    words = ", ".join(f"{n} {there[n]} (here: {here[n]})" for n in differs)
    back = " and ".join(provenance.ways_back(differs, there))
    raise OtherMachineError(
        f"the program {program!r} was computed with {words}, and would end as no run "
        f"on either does: go on where it was{f' or with {back}' if back else ''}, "
        "choose another workdir, or give --allow_other_machine (from Python, "
        "allow_other_machine=True)."
    )


def _parts(
    sweep: Sweep,
    record: checkpoint.Record,
    begin: int,
    places: list[int],
    group: Group,
    memory: int | None,
) -> list[Planned]:
    """A begun program, whole if it fits into memory."""
    whole = tuple(zip(places, group.agents, strict=True))
    fitting = number_fitting(group, sweep, memory)
    return [
        Planned(
            Group(group.task, tuple(agent for _, agent in part)),
            record,
            tuple(place for place, _ in part),
            begin,
        )
        for part in even(whole, fitting)
    ]


def start_of(
    sweep: Sweep, planned: Planned
) -> tuple[runner.Snapshot | None, Start | None]:
    """The newest snapshot that can be read, and where it is.

    Nothing is written, but that one which is damaged is set aside.

    Raises: StoreError.
    """
    record, group = planned.origin, planned.group
    if record is None:
        return None, None
    config, spec = group.agents[0].variant.config, envs.spec(group.task)
    steps = steps_in(sweep, group)
    like = runner.shapes(config, spec, steps)
    size = runner.store_size(config, spec, steps)
    while begin := checkpoint.newest(record, steps, aside=True):
        try:
            found = checkpoint.read(record, begin, like, planned.places, size)
            return found, checkpoint.origin(record, begin)
        except checkpoint.DamagedError as error:
            checkpoint.set_aside(record, begin, error)
    return None, None


def done_of(workdir: Path, about: Header) -> set[Cell]:
    """Cells that have as many env steps as are asked for.

    Raises: ConfigError, StoreError.
    """
    found = finished(workdir, about).items()
    return {cell for cell, steps in found if steps >= about.steps_of(cell)}

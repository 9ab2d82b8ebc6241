"""Programs as tasks of a Ray cluster: it decides where each runs.

What died is started again by the pool, which counts tries; Ray starts nothing again.
"""

import contextlib
import io
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coadapt.distributed import local
from coadapt.distributed.pool import Outcome
from coadapt.distributed.work import Unit
from coadapt.schema import ConfigError


class Cluster:
    """A Ray cluster, or one that is begun on this machine."""

    def __init__(
        self,
        workdir: Path,
        workers: int,
        address: str | None,
        gpus: int,
        flags: Sequence[str] = (),
    ):
        """`workers`: tasks at once; 0: as many as the cluster has room for.

        Raises:
            ConfigError: if there is no Ray, or no cluster at the address.
        """
        self._ray, self._gpus = _ray(), gpus
        self._workdir, self._workers, self._flags = workdir, workers, flags
        try:
            with warnings.catch_warnings():  # JAX warns of forks; an exec follows each
                warnings.simplefilter("ignore", RuntimeWarning)
                self._ray.init(
                    address=address or "local",
                    log_to_driver=False,
                    include_dashboard=None if address else False,
                    logging_level="error",
                )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"--ray_address is {address!r}: no Ray cluster answers there "
                f"({' '.join(str(error).split())[:200]})."
            ) from None
        remote = self._ray.remote(max_retries=0, max_calls=1)
        self._task = remote(_work)
        self._all = dict[str, Any]()  # program -> reference

    def room(self) -> bool:
        return not self._workers or len(self._all) < self._workers

    def start(self, unit: Unit) -> None:
        name = unit.record.folder.name
        variables = local.variables(unit, bool(self._gpus))
        needs = {"num_cpus": unit.job.devices}
        if self._gpus:
            needs = {"num_cpus": 1, "num_gpus": unit.job.devices}
        task = self._task.options(
            name=name, runtime_env={"env_vars": variables}, **needs
        )
        flags = [*local.words(self._workdir, name), *self._flags]
        self._all[name] = task.remote(flags)

    def ended(self, seconds: float) -> list[Outcome]:
        names = {reference: name for name, reference in self._all.items()}
        if not names:  # Ray waits for none
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait([*names], num_returns=1, timeout=seconds)
        return [self._outcome(names[reference]) for reference in ready]

    def _outcome(self, name: str) -> Outcome:
        try:
            status, words = self._ray.get(self._all.pop(name))
            return Outcome(name, status, words)
        except self._ray.exceptions.RayError as error:
            raised = getattr(error, "cause", None) or error  # of a task, its own
            lines = [line for line in str(raised).splitlines() if line.strip()]
            kind = type(raised).__name__
            return Outcome(name, None, f"{kind}: {lines[0] if lines else ''}"[:300])

    def forget(self, program: str) -> None:
        self._ray.cancel(self._all.pop(program), force=True)

    def close(self) -> None:
        self._ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "--engine=ray needs Ray: pip install -c constraints.txt -e '.[ray]'."
        ) from None
    return ray


def _work(flags: Sequence[str]) -> tuple[int, str]:
    """In a worker: the exit status of coadapt work, and its last sentence."""
    from coadapt.cli import work

    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = work.main([*flags, "--quiet"])
    print(said.getvalue(), file=sys.stderr)
    return status, local.last_error(said.getvalue()) if status else ""

"""A Slurm of this machine alone, from Debian's packages slurm-wlm and munge, as root.

Its ports, state and keys are its own: another Slurm of this machine is not touched.
"""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue")
CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={other}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobRequeue=1
ReturnToService=2
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=5
SchedulerParameters=batch_sched_delay=1,sched_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be none here; '' where there can."""
    if os.getuid():
        return "a Slurm of one machine is started as root"
    lacks = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"no {', '.join(lacks)}: apt-get install slurm-wlm munge" if lacks else ""


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def running(folder: Path, cpus: int) -> Iterator[dict[str, str]]:
    """The variables by which its commands find it."""
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(parents=True)
    (folder / "munge").chmod(0o755)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    places = {"folder": folder, "host": host, "port": _port(), "other": _port()}
    conf.write_text(CONF.format(**places, cpus=cpus))
    given = {"SLURM_CONF": str(conf)}
    own = {name: f"{folder}/munge/{name}" for name in ("socket", "pid", "log", "seed")}
    munge = [f"--{name}-file={own[name]}" for name in ("pid", "log", "seed")]
    munge = [
        "munged",
        "-F",
        "--force",
        f"--key-file={key}",
        f"--socket={own['socket']}",
        *munge,
    ]
    with contextlib.ExitStack() as stack:
        for command in (munge, ["slurmctld", "-D", "-c"], ["slurmd", "-D"]):
            log = stack.enter_context((folder / f"{command[0]}.err").open("wb"))
            process = subprocess.Popen(command, env=os.environ | given, stderr=log)
            stack.callback(_end, process)
            if command[0] == "munged":
                _wait(lambda: Path(own["socket"]).exists(), folder)
        _wait(lambda: "idle" in said(given, "sinfo", "-h", "-o", "%T"), folder)
        try:
            yield given
        finally:  # a task outlives the daemons
            said(given, "scancel", "--user=root")
            _wait(lambda: not said(given, "squeue", "-h"), folder)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def said(given: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        command, env=os.environ | given, capture_output=True, text=True
    )
    # a daemon that is late is no empty queue: what went wrong, as words
    return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr}"


def _wait(until, folder: Path, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        logs = "".join(p.read_text() for p in folder.glob("*.err"))
        assert time.monotonic() < end, logs
        time.sleep(0.1)

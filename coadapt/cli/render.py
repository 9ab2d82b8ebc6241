"""Record a video of a saved agent: greedy episodes of its last evaluation.

Examples:
  coadapt render --workdir=runs/cheetah --variant=sac --seed=0
  coadapt render --workdir=runs/walker --variant=sac --seed=0 \\
      --episodes=3 --out=walker.gif --size=320x240 --fps=30

Writes <workdir>/videos/<variant>-<task>-seed<k>.mp4, or --out: an .mp4 or .gif for
tasks of gym/ and dmc/, an .html page for brax/. Prints the return of each episode, and
how it ended.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from coadapt import video
from coadapt.cli import command
from coadapt.cli.values import Values, count, get, required
from coadapt.runs import store, trained_agent
from coadapt.runs.trained_agent import SavedAgent
from coadapt.schema import ConfigError


def _define(values: Values) -> None:
    for name, about in (
        ("workdir", "folder that was the --workdir of a sweep"),
        ("variant", "variant of the agent"),
        ("seed", "seed of the agent"),
        ("task", "task of the agent, if the variant was run on several"),
        ("steps", "env steps of the snapshot (the newest)"),
        ("episodes", "number of the evaluation's episodes (1)"),
        ("out", "file to write, .mp4 or .gif, for brax .html (in <workdir>/videos)"),
        ("size", "width and height of the frames (480x480)"),
        ("fps", "frames per second (real time of the simulation)"),
    ):
        flags.DEFINE_string(name, None, about, flag_values=values)


def _run(values: Values) -> None:
    folder = store.folder(required(values, "workdir"))
    size, episodes = _size(get(values, "size")), count(values, "episodes", 1)
    header = store.header(folder)
    task = get(values, "task")
    for each in header.variants if task is None else [task]:
        if video.family(each) in ("gym", "dmc"):  # before MuJoCo is imported
            video.choose_gl()
    agent = trained_agent.load(
        folder,
        variant=required(values, "variant"),
        seed=count(values, "seed", least=0),
        task=task,
        steps=None if get(values, "steps") is None else count(values, "steps"),
    )
    out = _out(folder, agent, get(values, "out"))
    evaluation = max(-(-agent.steps // header.eval_every) - 1, 0)
    if out.suffix == ".html":
        if episodes > 1:
            raise ConfigError("--episodes applies to videos: a page shows one episode.")
        if get(values, "fps") is not None:
            raise ConfigError("--fps applies to videos: a page has the simulation's.")
        found, page = video.page(
            agent, evaluation=evaluation, episodes=header.eval_episodes, height=size[1]
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
        _tell(0, found)
    else:
        _film(values, agent, out, size, evaluation, episodes)
    print(f"written: {out}")


def _film(
    values: Values,
    agent: SavedAgent,
    out: Path,
    size: video.Size,
    evaluation: int,
    episodes: int,
) -> None:
    with video.open_stage(agent.task, size) as stage:
        fps = count(values, "fps", max(round(stage.fps), 1), most=1000)
        with video.writer(out, size, fps) as show:
            for i in range(episodes):
                how = {"show": show, "evaluation": evaluation, "episode": i}
                _tell(i, video.perform(agent, stage, **how))


def _tell(number: int, found: video.Episode) -> None:
    print(
        f"episode {number}: return {found.total:.1f}, {found.steps} steps, ended by "
        f"{found.end}"
    )


def _size(text: str | None) -> video.Size:
    """'640x480'.

    Raises: ConfigError.
    """
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text or "480x480")
    size = tuple(map(int, found.groups())) if found else (0, 0)
    if not all(16 <= n <= 4096 and n % 2 == 0 for n in size):
        raise ConfigError(
            f"--size is {text!r}: it must be width x height, both even numbers of 16 "
            "to 4096, such as 480x480."
        )
    return size  # type: ignore[return-value]


def _out(folder: Path, agent: SavedAgent, text: str | None) -> Path:
    """Where the film goes.

    Raises:
        ConfigError: if it can be no film of the task.
    """
    allowed = (".html",) if video.family(agent.task) == "brax" else (".mp4", ".gif")
    name = f"{agent.variant}-{agent.task}-seed{agent.seed}"
    safe = re.sub(r"[^\w.=,()-]+", "_", name)
    own = folder / "videos" / f"{safe}{allowed[0]}"
    out = store.expanded(text, "--out") if text else own
    if out.suffix not in allowed:
        raise ConfigError(
            f"--out is {text!r}: of {agent.task} it must end in {' or '.join(allowed)}."
        )
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status; `argv` without the program's name."""
    return command.execute(__doc__ or "", _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())

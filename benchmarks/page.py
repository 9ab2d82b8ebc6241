"""What the page of a large run store costs: its making, its size, and its first look.

Examples:
  python -m benchmarks.page --agents=1000 --evaluations=100

The store has made-up rows: two algorithms with and without three toggles, on as many
tasks as the agents take at ten seeds a variant, and eight metrics at each evaluation.
Printed are the time of the report in all and on the CPU, the page's size, and, where
Playwright and Chromium are, the time until its text stands, until a first panel is
drawn, and until a table of it is filtered by what is typed.
"""

import argparse
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coadapt import report, sweep
from coadapt.runs import store
from coadapt.sweep import Sweep

STEPS, PROVIDER = 1_000_000, "made up"
TASKS = [f"gym/{name}-v5" for name in (
    "Ant", "HalfCheetah", "Hopper", "Humanoid", "Swimmer", "Walker2d",
)]  # fmt: skip
AXES = {
    "g_estimate.critics": ["1", "2"],
    "networks.critic.activation": ["relu", "elu"],
    "optim.critic.rate": ["1e-4", "3e-4"],
}
METRICS = (
    "return", "length", "critic_loss", "policy_loss", "value", "temperature",
    "entropy", "effective_fraction",
)  # fmt: skip
FILTER = """async (text) => {
    const field = document.querySelector(".filter input"), begin = performance.now();
    field.value = text;
    field.dispatchEvent(new Event("input", {bubbles: true}));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - begin;
}"""


def build(folder: Path, agents: int, evaluations: int) -> int:
    """A store as a sweep leaves it. Returns: how many agents it has, or some more."""
    variants = {task: sweep.grid(["sac", "mpo"], AXES, task=task) for task in TASKS}
    number = sum(map(len, variants.values()))
    asked = Sweep(
        experiment="sweep", variants=variants, seeds=range(math.ceil(agents / number)),
        steps=dict.fromkeys(TASKS, STEPS), eval_every=STEPS // evaluations,
    )  # fmt: skip
    header, random = sweep.header(asked), np.random.default_rng(0)
    with store.owned(folder), store.Store(folder, header) as out:
        for task in TASKS:
            cells = [cell for cell in header.cells() if cell.task == task]
            level = random.normal(100, 20, len(cells))
            with out.begin(out.note(cells, 1)) as attempt:
                for i in range(1, evaluations + 1):
                    grown = level * (1 - math.exp(-5 * i / evaluations))
                    values = {name: random.normal(grown, 5) for name in METRICS}
                    attempt.append(STEPS * i // evaluations, values, PROVIDER)
                attempt.finish(STEPS, 1.0)
    return len(header.cells())


def make(agents: int, evaluations: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        there = build(where, agents, evaluations)
        wall, cpu = time.monotonic(), time.process_time()
        report.make(where)
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        page = where / "report" / "index.html"
        print(f"{there} agents, {evaluations} evaluations, {len(METRICS)} metrics")
        print(f"report: {wall:.1f} s, of which {cpu:.1f} s on the CPU")
        print(f"page: {page.stat().st_size / 1e6:.2f} MB")
        look(page)
    print(f"load of the last minute: {os.getloadavg()[0]:.1f}")


def look(page: Path) -> None:
    """In Chromium, from the command to open it on."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        browser = None
    if not browser:
        print("not looked at: there is no Playwright, or no Chromium")
        return
    with sync_playwright() as each:
        opened = each.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-gpu"]
        )
        tab = opened.new_page(viewport={"width": 1280, "height": 900})
        begin = time.monotonic()
        tab.goto(page.as_uri(), wait_until="commit")
        tab.locator("article p").first.wait_for()
        said = time.monotonic() - begin
        tab.locator("#panels .panel").first.wait_for(state="attached")
        ready = time.monotonic() - begin
        tab.locator(".panel").first.scroll_into_view_if_needed()
        tab.locator(".panel canvas").first.wait_for()
        drawn = time.monotonic() - begin
        filtered = tab.evaluate(FILTER, "mpo hopper")
        opened.close()
    print(f"answer seen after {said:.1f} s, page ready after {ready:.1f} s")
    print(
        f"first panel drawn after {drawn:.1f} s, a table filtered in {filtered:.0f} ms"
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--evaluations", type=int, default=100)
    make(**vars(parser.parse_args(argv)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

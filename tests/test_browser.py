"""The page of a report in a real browser: by mouse, by keys, on a phone, on paper."""

import os
import shutil

import numpy as np
import pytest
import stores

from coadapt import report, sweep
from coadapt.runs.store import Cell
from coadapt.sweep import Variant

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="needs axe-playwright-python"
)
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium")
HOPPER, LQR = "gym/Hopper-v5", "toy/lqr"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
HOSTILE = [
    "</script><script>broken = 1</script>",
    "<img src=x onerror='window.broken=1'>",
    "=1+2 & \"quotes\" 'both'",
    "{{ 7 * 7 }} {% raw %} ${7 * 7}",
    "a" * 120,
    "#of=all&metric=x%00",
    "\u05d0\u05d1 \U0001f600",
]


def hostile(cell):
    """Returns that ran away, and none at all."""
    if cell.variant == HOSTILE[2]:
        return -7.9e12
    return -np.inf if cell.variant == HOSTILE[3] else 100.0 + 7 * cell.seed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A grid of two algorithms on two tasks; names that are no names; one seed."""
    home = tmp_path_factory.mktemp("pages")
    (start,) = sweep.presets(["sac"])
    axes = {"g_estimate.critics": ["1", "2"], "data.batch_size": ["32", "64"]}
    grid = sweep.grid(["sac", "mpo"], axes, task=HOPPER)
    made, steps = dict.fromkeys((HOPPER, LQR), grid), {HOPPER: 3000, LQR: 300}
    dead = [Cell(HOPPER, grid[0].name, 1)]
    stores.build(home / "grid", "sweep", made, steps, dead=dead, score=gains)
    many = [f"variant {i}" for i in range(50 - len(HOSTILE))]
    names = [Variant(n, "sac", start.config) for n in HOSTILE + many]
    dead = [Cell(LQR, HOSTILE[1], s) for s in range(2)]
    fields = {"seeds": 2, "dead": dead, "score": hostile}
    stores.build(home / "hostile", "sweep", {LQR: names}, {LQR: 300}, **fields)
    one = {LQR: [Variant("sac", "sac", start.config)]}
    stores.build(home / "one", "train", one, {LQR: 300}, seeds=1)
    for name in ("grid", "hostile", "one"):
        report.make(home / name)
    return home


def gains(cell):
    return 200 + 60 * ("critics=2" in cell.variant) + 4 * cell.seed + len(cell.variant)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as each:
        made = each.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield made
        made.close()


@pytest.fixture
def opened(browser, folder):
    """Opens a page; nothing may be asked of a network, and nothing may fail."""
    contexts, wrong = [], []

    def opening(name, link="", view=WIDE, **options):
        context = browser.new_context(viewport=view, **options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda m: m.type == "error" and wrong.append(m.text))
        page.on("request", lambda r: r.url.startswith("file:") or wrong.append(r.url))
        page.goto(f"{(folder / name / 'report' / 'index.html').as_uri()}{link}")
        return page

    yield opening
    for context in contexts:
        context.close()
    assert not wrong


def drawn(page):
    """The first panel, which is drawn once it is looked at."""
    first = page.locator(".panel").first
    first.scroll_into_view_if_needed()
    first.locator("canvas").wait_for()
    return first


def said_of(page):
    """What stands below a panel, as one line."""
    return " ".join(page.locator(".panel .read").first.inner_text().split())


def panels(page):
    return page.locator(".panel").count()


def titles(page):
    return page.locator(".panel h3").all_text_contents()


def heads(page, caption):
    """The first cells of the rows that are shown of a table."""
    table = page.locator("table.numbers").filter(has_text=caption)
    return table.locator("tbody tr:visible > :first-child").all_text_contents()


@pytest.mark.parametrize("name", ["grid", "hostile", "one"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_of_it_bars_anyone(opened, name, scheme):
    """By axe-core, which reads contrast, names and roles of all that is there."""
    page = opened(name, color_scheme=scheme)
    drawn(page)
    found = axe.Axe().run(page).response["violations"]
    assert [(x["id"], x["nodes"][0]["html"]) for x in found] == []
    assert page.evaluate("window.broken") is None


def test_names_that_are_no_names_are_text(opened):
    page = opened("hostile")
    texts = page.locator("fieldset label").all_text_contents()
    assert not {*HOSTILE} - {*texts}
    assert page.locator("fieldset").last.locator("input[type=checkbox]").count() == 50
    page.get_by_label(HOSTILE[0], exact=True).uncheck()
    again = opened("hostile", page.evaluate("location.hash"))
    assert not again.get_by_label(HOSTILE[0], exact=True).is_checked()
    assert again.get_by_label(HOSTILE[5], exact=True).is_checked()
    assert (
        "Outside of the picture: " + HOSTILE[2] in page.locator(".panel").inner_text()
    )


def test_the_answer_stands_on_top(opened):
    page = opened("grid")
    first = page.locator("main > section").first
    assert first.locator("h2").inner_text() == "What was found"
    said = first.locator("article p").first.inner_text()
    assert said.startswith("What g_estimate.critics at 2 instead of 1 does to sac and ")
    box = first.locator("table.forest").first.bounding_box()
    assert box["y"] + box["height"] < WIDE["height"]  # seen without scrolling


def test_curves_are_chosen(opened):
    page = opened("grid")
    toggles = 2
    assert panels(page) == toggles * 2  # a toggle on a task each
    page.get_by_label("A panel is").select_option("task")
    assert titles(page) == [HOPPER, LQR]
    page.get_by_label(LQR, exact=True).uncheck()
    assert titles(page) == [HOPPER]
    variants = page.get_by_role("group", name="Variants")
    variants.get_by_role("button", name="none").click()
    assert panels(page) == 0 and "No curve" in page.locator("#panels").inner_text()
    page.get_by_label("find among variants").fill("mpo/critics=2/batch_size=64")
    variants.get_by_role("button", name="all").click()
    page.get_by_label("Axis").select_option("symlog")
    page.get_by_label("each seed").check()
    drawn(page)
    link = page.evaluate("location.hash")
    again = opened("grid", link)
    assert titles(again) == [HOPPER] and again.get_by_label("each seed").is_checked()
    assert again.get_by_label("Axis").input_value() == "symlog"
    assert said_of(again) == "mpo/critics=2/batch_size=64"
    assert again.evaluate("location.hash") == link


def value(folder, variant, task, step):
    """Mean, Student's 95% ends and seeds, of the rows."""
    from scipy import stats

    from coadapt.runs import store

    rows = store.read(folder)
    rows = rows[(rows.task == task) & (rows.metric == "return")]
    values = rows[(rows.variant == variant) & (rows.env_steps == step)].value
    ends = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return values.mean(), ends, len(values)


def test_the_mouse_reads_value_interval_and_seeds(opened, folder):
    page = opened("grid", "#panels=task&of=mpo/critics%3D2/batch_size%3D64&on=toy/lqr")
    box = drawn(page).locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 5)
    said = said_of(page)
    name = "mpo/g_estimate.critics=2/data.batch_size=64"
    mean, (low, high), n = value(folder / "grid", name, LQR, 300)
    words = f"{mean:.1f} [{low:.1f}, {high:.1f}], n = {n}"
    assert said == f"At 300 steps: mpo/critics=2/batch_size=64 {words}"


def test_a_part_is_zoomed_and_all_comes_back(opened):
    page = opened("grid", f"#panels=task&on={LQR}")
    box = drawn(page).locator(".u-over").bounding_box()

    def ends():
        return page.evaluate("(({min, max}) => [min, max])(panels[0].plot.scales.x)")

    assert ends() == [100, 300]
    y = box["y"] + 50
    page.mouse.move(box["x"] + 1, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, y + 2)
    page.mouse.up()
    assert ends() == pytest.approx([100, 200], abs=2)
    page.get_by_label("zoom back to all").click()
    assert ends() == [100, 300]


def test_keys_alone_are_enough(opened):
    """From the page's top to a value, a zoom, and a table that is sorted."""
    page = opened("grid", f"#panels=task&on={LQR}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") != "BODY"
    page.locator(".panel").focus()
    page.keyboard.press("End")
    said = said_of(page)
    assert said.startswith("At 300 steps: ")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    other = said_of(page)
    assert other.startswith("At 200 steps: ") and "n = 3" in other
    page.keyboard.press("+")
    assert page.evaluate("panels[0].plot.scales.x.max") < 300
    page.keyboard.press("0")
    assert page.evaluate("panels[0].plot.scales.x.max") == 300
    button = page.locator("table.numbers thead button").first
    button.focus()
    page.keyboard.press("Enter")
    head = page.locator("table.numbers thead th").first
    assert head.get_attribute("aria-sort") == "ascending"


def test_tables_sort_and_filter_and_a_link_keeps_it(opened):
    page = opened("grid")
    caption = "Returns."
    before = heads(page, caption)
    table = page.locator("table.numbers").filter(has_text=caption)
    score = table.get_by_role("button", name="score")
    score.click()
    cells = table.locator("tbody tr td:nth-child(4)").all_text_contents()
    numbers = [float(cell.split(" ")[0].replace("\u2212", "-")) for cell in cells]
    assert numbers == sorted(numbers) and len(before) == 16
    score.click()
    page.locator(".filter input").first.fill("mpo lqr")
    shown = heads(page, caption)
    assert len(shown) == 4 and all(name.startswith("mpo/") for name in shown)
    assert page.locator(".filter output").first.inner_text() == "4 of 16"
    again = opened("grid", page.evaluate("location.hash"))
    assert heads(again, caption) == shown


@pytest.mark.parametrize("name", ["grid", "hostile", "one"])
def test_on_a_phone_nothing_is_cut(opened, name):
    page = opened(name, view=PHONE)
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    cut = page.evaluate(
        """[...document.querySelectorAll("table.numbers")].filter((table) => {
          const home = table.parentNode;
          return table.scrollWidth > home.clientWidth + 1 &&
            getComputedStyle(home).overflowX !== "auto";
        }).length"""
    )
    assert cut == 0
    intervals = page.locator(".forest .whole")
    lines = intervals.evaluate_all("all => all.map((x) => x.getClientRects().length)")
    assert {*lines} <= {1}  # none is torn apart
    wide = page.evaluate(
        "Math.max(...[...document.querySelectorAll('.forest, .panel, fieldset')]"
        ".map((each) => each.getBoundingClientRect().right))"
    )
    assert wide <= PHONE["width"]


def test_on_paper_there_are_curves_and_no_buttons(opened, tmp_path):
    page = opened("grid", "#panels=task", color_scheme="dark")
    page.emulate_media(media="print")
    while not page.evaluate("panels.every((panel) => panel.plot)"):  # without eval
        page.wait_for_timeout(50)
    assert not page.locator(".choose").is_visible()
    style = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(style) == "rgb(255, 255, 255)"
    page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 20_000


def test_without_scripts_the_pictures_beside_it_are_seen(opened):
    page = opened("grid", java_script_enabled=False)
    image = page.get_by_role("img", name="Learning curves on gym/Hopper-v5")
    assert image.bounding_box()["width"] > 300
    assert image.evaluate("(each) => each.naturalWidth") > 0
    assert page.locator("noscript p").is_visible()  # what is shaded in these
    assert len(heads(page, "Returns.")) == 16  # tables are there, and all that answers
    assert page.locator("article p").first.is_visible()
    assert page.locator("table.forest").first.is_visible()
    assert page.locator("button:visible, input:visible").count() == 0

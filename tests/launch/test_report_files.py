"""Tables and figures for a paper, and a report that is kept while a sweep runs."""

import os
import re
import shutil
import subprocess
import threading
import zlib

import pytest
import stores

from coadapt import plot, report, sweep
from coadapt.cli import report as command
from coadapt.report import latex, live, sections
from coadapt.report.html import Cell, Group, Line, Table
from coadapt.runs import store
from coadapt.schema import ConfigError

TASK, NAMES = "toy/lqr", ("sac", "mpo")
AXES = {"g_estimate.critics": ["1", "2"]}
POINTS = 72  # of an inch


def build(folder, **fields):
    grid = {TASK: sweep.grid(list(NAMES), AXES, task=TASK)}
    return stores.build(folder, "sweep", grid, {TASK: 300}, **fields)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    where = tmp_path_factory.mktemp("store") / "x"
    build(where)
    report.make(where, latex=True, pdf=True)
    return where


def test_no_two_pictures_have_one_file():
    """Of names that differ in a sign, in case, or after a hundred letters."""
    texts = ["gym/A?b=1", "gym/A&b=1", "GYM/a?b=1", "x" * 120, "x" * 119 + "y"]
    texts += ["gym/A?b=1_2"]
    names = sections.file_names([*texts, texts[0]])
    assert list(names) == texts and names[texts[0]] == "gym_A_b=1"
    assert len({name.lower() for name in names.values()}) == len(texts)
    assert all(re.fullmatch(r"[\w.=-]+", name) for name in names.values())


def columns(line):
    """Cells of a line of a table, where no ampersand is a letter."""
    return len(re.findall(r"(?<!\\)&", line)) + 1


def test_tables_are_whole_and_have_booktabs_rules(made):
    texts = report.tables(made)
    assert {"returns", "what_a_toggle_does", "last_evaluations"} <= set(texts)
    for name, text in texts.items():
        assert (made / "report" / f"{name}.tex").read_text() == text
        kinds = re.search(r"\\begin{tabular}{((?:[lr]|p{\d+pt})+)}", text)[1]
        kinds = re.sub(r"{\d+pt}", "", kinds)
        body = text.split("\\toprule\n")[1].split("\\bottomrule")[0]
        rows = [
            line for line in body.splitlines() if re.search(r"\\\\(\[3pt\])?$", line)
        ]
        assert rows and {columns(row) for row in rows} == {len(kinds)}
        assert text.count("{") == text.count("}") and "\\midrule" in body
        assert "|" not in kinds and "\\hline" not in text


PDFLATEX = os.environ.get("PDFLATEX") or shutil.which("pdflatex")
PAPER = r"""\documentclass{article}
\usepackage{booktabs}
\textwidth=397pt  % of NeurIPS and ICLR
\hfuzz=0pt
\begin{document}
TABLES
\end{document}
"""


@pytest.mark.skipif(not PDFLATEX, reason="there is no pdflatex")
def test_tables_compile_and_are_no_wider_than_a_page(made, tmp_path):
    cells = (Cell("50% of $1_000 & a^b~c \\input{x}", "#1", True), Cell("1 ± ∞"))
    odd = Table("A & b", ("x_y", "%", "n"), (Group('<g>|"é\u05d0', (Line(cells),)),))
    texts = [*report.tables(made).values(), latex.booktabs(odd, "odd")]
    (tmp_path / "paper.tex").write_text(PAPER.replace("TABLES", "\n".join(texts)))
    how = ["-interaction=nonstopmode", "-halt-on-error", "-draftmode"]
    done = subprocess.run(
        [PDFLATEX, *how, "paper.tex"], cwd=tmp_path, timeout=120,
        capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_a_wide_table_has_cells_of_several_lines():
    cells = (Cell("[a] said of it", strong=True), *[Cell("+1 [-2, 3]", "n")] * 9)
    names = ("name", "words", *["effect on it"] * 9)
    wide = Table("t", names, (Group("a_long.name/of=it", (Line(cells),)),), words=1)
    text = latex.booktabs(wide, "t")
    assert r"\scriptsize\setlength{\tabcolsep}{1.5pt}" in text
    assert r"{p{57pt}p{57pt}rrrrrrrrr}" in text
    assert (
        r"\raggedright a\_\allowbreak{}long.\allowbreak{}name/\allowbreak{}of" in text
    )
    assert r"& \textbf{\raggedright [a] said of it} & \shortstack" in text
    assert r"\shortstack[r]{{+1} \\ {[-2, 3]} \\ {(n)}}" in text
    assert r"\shortstack[r]{{effect} \\ {on it}}" in text


def test_what_latex_would_obey_is_text():
    cells = (Cell("50% of $1_000 & a^b~c \\input{x}", "#1", True), Cell("1 ± ∞"))
    text = latex.booktabs(
        Table("A & b", ("x_y", "%", "n"), (Group("<g>", (Line(cells),)),)), "t"
    )
    assert r"\caption{A \& b}" in text and r"x\_y & \% & n \\" in text
    assert (
        r"\textless{}g\textgreater{} & \textbf{50\% of \$1\_000 \& a\textasciicircum{}b"
        r"\textasciitilde{}c \textbackslash{}input\{x\}} (\#1) & 1 $\pm$ $\infty$ \\"
    ) in text


def test_figures_are_as_wide_as_a_column_and_their_letters_are_read(made):
    figures = report.figures(made)
    assert f"{TASK.replace('/', '_')}" in figures and len(figures) == 2
    for name, figure in figures.items():
        data = (made / "report" / f"{name}.pdf").read_bytes()
        assert data == plot.pdf(figure)  # the same store gives the same file
        box = [
            float(x) for x in re.search(rb"/MediaBox \[([\d. ]+)\]", data)[1].split()
        ]
        assert box[2] == pytest.approx(plot.COLUMN * POINTS, abs=0.5)
        streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.S)
        drawn = b"".join(zlib.decompress(x) for x in streams if x[:1] == b"x")
        sizes = {float(x) for x in re.findall(rb"/F\d+ ([\d.]+) Tf", drawn)}
        assert sizes and min(sizes) >= 7
        # TrueType, and in the file: what journals ask
        kinds = set(re.findall(rb"/Type /Font\b[^>]*?/Subtype /(\w+)", data))
        assert kinds == {b"Type0", b"CIDFontType2"} and b"/FontFile2 " in data


def test_a_report_is_kept_current_until_all_is_finished(tmp_path):
    """It waits for a first score, follows what is added, and ends by itself."""
    where, said = tmp_path / "x", []
    every = [
        store.Cell(TASK, v.name, s)
        for v in sweep.grid(list(NAMES), AXES)
        for s in range(3)
    ]
    build(where, absent=every)
    later = iter(
        [lambda: build(where, begun=every[:6], absent=every[6:]), lambda: build(where)]
    )

    def told(line):
        said.append(line)
        page = where / "report" / "index.html"
        if page.exists():
            said.append('data-every="0.01"' in page.read_text())
        threading.Thread(target=next(later, lambda: None)).run()

    written = live.watch(where, seconds=0.01, said=told)
    assert [line.split(" ")[0] for line in said if isinstance(line, str)] == [
        "waiting:", "written", "written"
    ]  # fmt: skip
    assert [line for line in said if isinstance(line, bool)] == [True, False]
    assert written[-1].name == "index.html"
    assert not list((where / "report").glob("*.tmp"))


def test_a_watch_of_nothing_is_a_sentence_and_ctrl_c_ends_it(
    tmp_path, monkeypatch, capsys
):
    with pytest.raises(ConfigError, match="there is nothing at this path"):
        live.watch(tmp_path / "none")
    assert command.main([f"--workdir={tmp_path}", "--every=3"]) == 2
    assert "--every applies to --watch" in capsys.readouterr().err
    build(tmp_path / "x", absent=[store.Cell(TASK, "sac/g_estimate.critics=1", 0)])

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(live.time, "sleep", interrupted)
    assert command.main([f"--workdir={tmp_path / 'x'}", "--watch"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("written at ") and not shown.err
    assert (tmp_path / "x" / "report" / "index.html").exists()

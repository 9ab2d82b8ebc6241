"""Pages: that what is data comes out as text, and looks as it was said to."""

import csv
from pathlib import Path

from html_pages import read

from coadapt.plot import Look
from coadapt.report import html
from coadapt.report.html import Cell, Figure, Group, Line, Page, Section, Table

NAME = "sac/x=<b>&co-v5"
TABLE = Table(
    "What there is.",
    ("task", "", "a", NAME),
    (
        Group(
            "one",
            (
                Line((Cell("word"), Cell("1", "of 2", strong=True)), "ours"),
                Line((Cell("-"), Cell("3")), "paper", muted=True),
            ),
        ),
        Group("two", (Line((Cell("other"), Cell("4")), "ours"),)),
    ),
    ("a note",),
    words=1,
)


def rendered(*sections):
    return html.render(Page("T & t", (("what", "<this>"),), sections, "foot"))


def test_what_is_data_comes_out_as_text():
    text = rendered(Section("S", ("p <q>",), (TABLE,), notes=("n < m",)))
    found = read(text)
    assert found.title == "T & t" and "<this>" in found.words
    assert "p <q>" in found.words and "n < m" in found.words
    (table,) = found.tables
    assert table.caption == "What there is."
    assert table.rows == [
        ["task", "", "a", NAME],
        ["one", "ours", "word", "1of 2"],
        ["paper", "-", "3"],
        ["two", "ours", "other", "4"],
    ]
    assert table.strong == ["1"]


def test_figures_need_no_network_and_have_words():
    figure = Figure("curves", 'of "a" & b', "a%20b.png")
    looks = ((NAME, Look("#123456", "--")),)
    found = read(rendered(Section("S", figures=(figure,), looks=looks)))
    (image,) = found.images
    assert image["alt"] == 'of "a" & b'
    assert image["src"] == "a%2520b.png"  # a file of this name, beside the page
    assert NAME in found.words


def test_a_table_of_one_kind_of_lines_has_one_column_of_heads():
    groups = (Group("x", (Line((Cell("1"),)),)), Group("y", (Line((Cell("2"),)),)))
    table = Table("T", ("name", "n"), groups)
    assert table.heads == 1 and TABLE.heads == 2
    found = read(rendered(Section("S", tables=(table,))))
    assert found.tables[0].rows == [["name", "n"], ["x", "1"], ["y", "2"]]


def test_a_table_as_csv():
    rows = list(csv.reader(html.records(TABLE).splitlines()))
    assert rows == [
        ["task", "", "a", NAME],
        ["one", "ours", "word", "1 (of 2)"],
        ["one", "paper", "-", "3"],
        ["two", "ours", "other", "4"],
    ]


def test_the_template_is_a_part_of_the_package():
    text = (Path(__file__).parents[1] / "setup.cfg").read_text()
    assert "templates/*, templates/uplot/*" in text
    assert "\n    jinja2\n" in text

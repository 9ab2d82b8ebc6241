"""The pages of flags and fields are what the code says, and say it of everything."""

import dataclasses

import pytest

from coadapt import algorithms, cli, field_docs, schema
from coadapt.config import Config
from coadapt.factors import g_estimate, pi_q_update
from tools import reference

CLASSES = [cls for _, _, below in field_docs.sections() for cls in below]


@pytest.mark.parametrize("page", list(reference.PAGES))
def test_a_page_is_what_is_generated(page):
    """If not: python -m tools.reference --write."""
    text = (reference.DOCS / f"{page}.md").read_text()
    assert text == reference.PAGES[page]()


def test_pages_are_printed_and_written(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "DOCS", tmp_path)
    assert reference.main(["--write"]) == 0
    assert capsys.readouterr().out == ""
    assert reference.main(["--page=flags"]) == 0
    assert capsys.readouterr().out == (tmp_path / "flags.md").read_text()
    assert {path.stem for path in tmp_path.iterdir()} == set(reference.PAGES)


def test_another_page_is_refused_in_a_sentence(capsys):
    assert reference.main(["--page=flag"]) == 2
    assert capsys.readouterr().err == (
        "error: --page is 'flag': it must be one of flags, config, taxonomy, choices; "
        "did you mean 'flags'?\n"
    )


# ---------------------------------------------------------------- flags


def test_every_command_is_listed():
    """A file that runs as a program is found, and has one of its name in launch/."""
    homes = (reference.ROOT / "coadapt" / "cli").glob("*.py")
    runs = {p.stem for p in homes if '__name__ == "__main__"' in p.read_text()}
    assert set(cli.COMMANDS) == runs <= set(reference.commands())
    assert runs == {p.stem for p in (reference.ROOT / "launch").glob("[a-z]*.py")}


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_file_of_launch_calls_the_command(name):
    text = (reference.ROOT / "launch" / f"{name}.py").read_text()
    assert (
        text.split('"""')[2].split()
        == (
            f"import sys from coadapt.cli import {name} "
            f'if __name__ == "__main__": sys.exit({name}.main())'
        ).split()
    )


def test_every_flag_says_what_it_is():
    for name, module in reference.commands().items():
        values = reference.flags_of(module)
        assert [f for f in values if not values[f].help] == [], name


# ---------------------------------------------------------------- fields


@pytest.mark.parametrize("cls", [Config, *CLASSES], ids=lambda cls: cls.__name__)
def test_every_field_says_what_it_is(cls):
    assert [row["field"] for row in field_docs.rows(cls) if not row["what"]] == []


def test_every_class_of_a_preset_is_listed():
    used: set[type] = set()

    def visit(config):
        used.add(type(config))
        for field in dataclasses.fields(config):
            if dataclasses.is_dataclass(getattr(config, field.name)):
                visit(getattr(config, field.name))

    for name in algorithms.PRESETS:
        visit(algorithms.preset(name))
    assert used - {Config, *CLASSES} == set() and len(CLASSES) > len(used)


def test_a_field_is_told_as_it_is_declared():
    rows = {row["field"]: row for row in field_docs.rows(pi_q_update.KLTemperature)}
    assert rows["epsilon"] == {
        "field": "epsilon",
        "kind": "traced",
        "must be": "a finite float32 > 0",
        "default": "0.1",
        "what": "bound on the KL of the weights, nats",
        "source": "settings 1.3",
    }
    kinds = {f.name: f.kind for f in schema.fields(g_estimate.TD0)}
    assert kinds["discount"] == "traced" and kinds["smoothing"] == "subtree"
    assert kinds["critics"] == "static"


def test_other_classes_have_no_fields():
    with pytest.raises(TypeError, match="int is not a class made with @config"):
        schema.fields(int)


@pytest.mark.parametrize(
    ("comment", "parts"),
    [
        ("nats; settings 1.3", ("nats", "settings 1.3")),
        ("settings 1.7, MPO (D)", ("", "settings 1.7, MPO (D)")),
        ("of one; or two", ("of one; or two", "")),
        ("Schulman et al. 2017", ("", "Schulman et al. 2017")),
    ],
)
def test_a_comment_is_taken_apart(comment, parts):
    assert field_docs.taken_apart(comment) == parts


# ---------------------------------------------------------------- presets


@pytest.mark.parametrize("name", list(algorithms.PRESETS))
def test_the_values_that_differ_make_the_preset(name):
    """From a config of defaults alone, set in their order."""
    preset = algorithms.preset(name)
    values = {  # a class as it is by default, whose own values follow
        path: type(value)() if dataclasses.is_dataclass(value) else value
        for path, value in field_docs.differing(preset)
    }
    required = [f.name for f in dataclasses.fields(Config) if f.name in values][:7]
    start = Config(**{path: values[path] for path in required})
    assert schema.override(start, values) == preset


def test_a_value_has_the_source_beside_it():
    """Also through functions, names, other files, and changes of another preset."""
    rows = {
        name: {row["field"]: row["source"] for row in field_docs.preset_rows(name)}
        for name in ("mpo", "bear", "td3", "trpo", "trpo_table1")
    }
    assert rows["mpo"]["networks.critic.hidden.scale"] == "settings 1.3"
    assert rows["mpo"]["networks.policy.output.scale"] == "settings 2.2"
    assert rows["mpo"]["optim.policy.rate"] == "Table 4"
    assert rows["bear"]["networks.policy.sizes"] == "settings 3.8"
    assert rows["td3"]["schedule.critic_steps"] == "settings 3.9"
    assert rows["td3"]["optim.policy.rate"] == "settings 3.8"
    row = rows["trpo_table1"]
    assert row["networks.policy.output.scale"] == "settings 3.6"
    assert rows["trpo"]["networks.policy.hidden.scale"] == "settings 3.12"
    assert rows["trpo"]["optim.critic.rate"] == "settings 3.6"

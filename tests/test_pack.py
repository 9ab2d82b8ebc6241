"""A study as an archive: whole on another machine, and refused where it was changed."""

import hashlib
import io
import json
import shutil
import stat
import zipfile

import pandas as pd
import pytest
import stores

from coadapt import sweep
from coadapt.cli import pack as pack_command
from coadapt.cli import unpack as unpack_command
from coadapt.report import pack
from coadapt.runs import leases, store
from coadapt.runs.store import Cell
from coadapt.schema import ConfigError

TASK = "toy/lqr"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store with a failed seed, and its archive."""
    where = tmp_path_factory.mktemp("study")
    made = {TASK: sweep.presets(["sac", "mpo"], TASK)}
    stores.build(where / "x", "sweep", made, {TASK: 300}, dead=[Cell(TASK, "mpo", 1)])
    snapshot = next((where / "x" / "programs").glob("*/0001")) / "300"
    snapshot.mkdir()
    (snapshot / "big.bin").write_bytes(b"0" * 1000)
    return where


@pytest.fixture(scope="module")
def archive(home):
    path = home / "x.zip"
    pack.write(home / "x", path)
    return path


def test_it_is_whole_on_another_machine(home, archive, tmp_path):
    found = pack.read(archive, tmp_path / "y")
    rows, theirs = store.read(home / "x"), store.read(tmp_path / "y")
    pd.testing.assert_frame_equal(rows, theirs)
    assert store.load(home / "x") == store.load(tmp_path / "y")
    failed = store.failures(tmp_path / "y")
    assert list(failed.variant) == ["mpo"] and not found.differs
    assert (tmp_path / "y" / "report" / "index.html").exists()
    assert not list((tmp_path / "y").rglob("big.bin"))  # no snapshot
    text = zipfile.ZipFile(archive).read(pack.LIST)
    listed = json.loads(text)
    assert found.study == hashlib.sha256(text).hexdigest()
    assert listed["sessions"] == store.sessions(home / "x")
    assert found.since == listed["sessions"][0]["started"] and len(found.plan) == 64
    assert not list((tmp_path).glob(".unpack*"))


@pytest.fixture
def bare(monkeypatch):
    """No report is drawn, which takes most of a pack's time."""
    monkeypatch.setattr(pack.report, "make", lambda *_, out: out.mkdir())


@pytest.mark.usefixtures("bare")
def test_the_plan_has_a_hash_that_its_results_do_not_change(home, tmp_path):
    shutil.copytree(home / "x", tmp_path / "x")
    made = {TASK: sweep.presets(["sac", "mpo"], TASK)}
    again = {"score": lambda _: 1.0}
    stores.build(tmp_path / "other", "sweep", made, {TASK: 300}, **again)
    stores.build(tmp_path / "more", "sweep", made, {TASK: 300}, seeds=4, **again)
    plans = [
        pack.write(tmp_path / name, tmp_path / f"{name}.zip").plan
        for name in ("x", "other", "more")
    ]
    assert plans[0] == plans[1] != plans[2]


@pytest.mark.usefixtures("bare")
def test_what_is_written_to_is_refused(home, tmp_path):
    """Its report would be of other rows than the archive has."""
    shutil.copytree(home / "x", tmp_path / "x")
    with store.owned(tmp_path / "x"), pytest.raises(ConfigError, match="is in use"):
        pack.write(tmp_path / "x", tmp_path / "x.zip")
    lease = leases.take(next((tmp_path / "x" / "programs").iterdir()))
    with pytest.raises(store.StoreError, match="pack when that has ended"):
        pack.write(tmp_path / "x", tmp_path / "x.zip")
    lease.end(leases.STOPPED)
    assert pack.write(tmp_path / "x", tmp_path / "x.zip").files


@pytest.mark.usefixtures("bare")
def test_it_has_what_settings_were_chosen_by(home, tmp_path):
    for place in ("x", "x/tuning"):
        shutil.copytree(home / "x", tmp_path / place)
    pack.write(tmp_path / "x", tmp_path / "x.zip")
    names = zipfile.ZipFile(tmp_path / "x.zip").namelist()
    own = [name for name in names if name.split("/")[0] not in ("report", pack.LIST)]
    inner = [f"tuning/{name}" for name in own if not name.startswith("tuning/")]
    assert sorted(n for n in own if n.startswith("tuning/")) == sorted(inner)
    assert any(name.endswith("/rows.csv") for name in inner)


def test_the_commands_say_what_it_is(home, archive, tmp_path, capsys):
    out = tmp_path / "a.zip"
    assert pack_command.main([f"--workdir={home / 'x'}", f"--out={out}"]) == 0
    shown = capsys.readouterr().out
    study = shown.split("study: ")[1].split()[0]
    there = [f"--archive={out}", f"--workdir={tmp_path / 'y'}"]
    assert unpack_command.main([*there, f"--study={study}"]) == 0
    told = capsys.readouterr().out
    assert "a report of here has the same tables" in told and study in told
    assert unpack_command.main(there) == 2  # there is something already
    assert "it must be new, or empty" in capsys.readouterr().err
    wrong = [there[0], f"--workdir={tmp_path / 'z'}", f"--study={'0' * 64}"]
    assert unpack_command.main(wrong) == 2
    assert "its list has the SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "z").exists()
    assert pack_command.main([f"--workdir={home / 'x'}", f"--out={out}"]) == 2
    assert unpack_command.main([there[0].replace("a.zip", "b"), wrong[1]]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def rewritten(archive, path, change):
    """The archive with its entries changed: (info, data) pairs."""
    with zipfile.ZipFile(archive) as whole:
        entries = [(info, whole.read(info)) for info in whole.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for info, data in change(entries):
            out.writestr(info, data)


def named(name, data=b"x", kind=stat.S_IFREG):
    made = zipfile.ZipInfo(name)
    made.external_attr = (kind | 0o644) << 16
    return made, data


def listed(entries, *more):
    """Further entries that the list has too, as an attacker would write it."""
    for info, data in entries:
        if info.filename == pack.LIST:
            about = json.loads(data)
            for other, text in more:
                sha = hashlib.sha256(text).hexdigest()
                about["files"][other.filename] = {"bytes": len(text), "sha256": sha}
            yield info, json.dumps(about).encode()
        else:
            yield info, data
    yield from more


def without(entries, name):
    return [each for each in entries if each[0].filename != name]


def edited(entries, name, change):
    return [(i, change(d) if i.filename == name else d) for i, d in entries]


ELSEWHERE = [
    "../out",
    "/tmp/out",
    "a/../../out",
    "a\\..\\out",
    "C:out",
    "a//b",
    "./a",
    "a\0b",
]
CHANGES = {
    "a row": (
        lambda e: edited(e, "results.csv", lambda d: d.replace(b"sac", b"SAC", 1)),
        "'results.csv' has another checksum",
    ),
    "shorter": (
        lambda e: edited(e, "results.csv", lambda d: d[:-1]),
        "'results.csv' is of another size",
    ),
    "gone": (lambda e: without(e, "failures.csv"), "'failures.csv' is missing"),
    "more": (lambda e: [*e, named("extra.csv")], "'extra.csv' is not in its list"),
    "twice": (lambda e: listed(e, named("Done.csv")), "a name is there twice"),
    "link": (
        lambda e: listed(e, named("a", b"/etc/passwd", stat.S_IFLNK)),
        "'a' is a link",
    ),
    "no list": (lambda e: without(e, pack.LIST), "its pack.json cannot be read"),
    "other list": (
        lambda e: edited(
            e, pack.LIST, lambda d: d.replace(b'"format": 1', b'"format": 2')
        ),
        "of another format",
    ),
    "huge": (
        lambda e: edited(
            e, pack.LIST, lambda d: d.replace(b'"bytes": ', b'"bytes": 99999999999')
        ),
        "its files are more than",
    ),
    **{
        name: (lambda e, n=name: listed(e, named(n)), "elsewhere")
        for name in ELSEWHERE[:-1]
    },
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_refused_and_nothing_is_written(name, archive, tmp_path):
    change, said = CHANGES[name]
    rewritten(archive, tmp_path / "bad.zip", change)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError) as error:
        pack.read(tmp_path / "bad.zip", tmp_path / "deep" / "y")
    assert said in str(error.value) and "\n" not in str(error.value)
    left = [path for path in tmp_path.rglob("*") if path.name != "deep"]
    assert sorted(left) == before


@pytest.mark.parametrize("cut", [0, 10, 0.5, -30])
def test_a_torn_archive_is_a_sentence(cut, archive, tmp_path):
    data = archive.read_bytes()
    end = int(cut * len(data)) if isinstance(cut, float) else cut or 0
    (tmp_path / "torn.zip").write_bytes(data[:end])
    with pytest.raises(ConfigError, match="differs from what was packed"):
        pack.read(tmp_path / "torn.zip", tmp_path / "y")
    assert not (tmp_path / "y").exists()


def test_a_file_that_inflates_beyond_its_size_is_cut(archive, tmp_path):
    """Its entry says the size that is listed; what it holds is more."""
    out = io.BytesIO()
    rewritten(archive, out, lambda e: listed(e, named("bomb", b"0" * 4_000_000)))
    data = out.getvalue().replace(
        (4_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    )
    (tmp_path / "bomb.zip").write_bytes(data)
    with pytest.raises(ConfigError):
        pack.read(tmp_path / "bomb.zip", tmp_path / "y")
    assert not (tmp_path / "y").exists()

"""What is stored: names that do not collide, found again, listed, exported."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from tests.chromium import chromium, required

import delever as dl
from delever.cli.app import main
from delever.errors import InputError, StoreError
from delever.research.null_markets import simulate_bars
from delever.study.kept import stored
from delever.study.kept.exporting import flat
from delever.study.kept.stored import About, everything, write_facts, write_index
from delever.study.runs.shelf import find
from delever.study.workspaces.workspace import Workspace

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

QUICK = ["--set", "end=2014-06-01", "--set", "params.weeks=50"]
IDS = st.text("0123456789abcdef", min_size=12, max_size=12)


def put(results: Path, name: str, kind: str = "run", age: int = 0, **about: object) -> Path:
    """Store what is as small as anything stored."""
    folder = results / name
    folder.mkdir(parents=True)
    (folder / "page.html").write_text("<main>")
    (folder / "manifest.json").write_text("{}")
    made = pd.Timestamp("2026-01-01", tz="UTC") - pd.Timedelta(days=age)
    group = name.split("/")[0]
    write_facts(folder, About(kind=kind, name=group, page="page.html", **about), "It.", made=made)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("strategies", "data", "backtests"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return Workspace(root=tmp_path)


@given(st.sets(IDS, min_size=2, max_size=12), st.data())
def test_first_digits_find_the_one_run_that_begins_so_or_are_refused_with_all(ids, data):
    import tempfile

    with tempfile.TemporaryDirectory() as root:
        place = Workspace(root=Path(root))
        for position, own in enumerate(sorted(ids)):
            put(place.results, f"study{position % 3}/{own}", age=position)
        chosen = data.draw(st.sampled_from(sorted(ids)))
        prefix = chosen[: data.draw(st.integers(1, 12))]
        fit = [own for own in ids if own.startswith(prefix)]
        if len(fit) == 1:
            assert find(place, prefix).folder.name == chosen
        else:
            with pytest.raises(InputError, match="several") as refused:
                find(place, prefix)
            said = str(refused.value)
            assert all(own in said for own in fit) or len(fit) > 8


def test_every_printed_name_leads_to_the_same_run(place, monkeypatch):
    own = "0123456789ab"
    folder = put(place.results, f"alpha/{own}", age=3)
    put(place.results, "alpha/ffffffffffff", age=4)
    sweep = put(place.results, "alpha/sweeps/0123456789cc", "sweep")
    names = (
        f"alpha/{own}", f"alpha {own}", own, "0123456789a", "alpha/0123456789ab", "alpha",
        folder, str(folder / "page.html"), folder.relative_to(place.root),
        "backtests/results/alpha", f"alpha/{own[:11]}",
    )  # fmt: skip
    for name in names:
        assert find(place, name).folder == folder, name
    assert find(place, "alpha").said == f"alpha/{own}, the newest of 2"
    assert find(place, "alpha/sweeps/0123456789c").folder == sweep
    monkeypatch.chdir(place.results)
    assert find(place, "alpha").folder == folder
    with pytest.raises(InputError, match=f"several: .*alpha/{own}"):
        find(place, "0123456789")
    assert find(place, "0123456789", ("run",)).folder == folder
    for name in ("beta", "alpha/", "alpha/01234x", "", "../results", "0123456789abc"):
        if name.rstrip("/") != "alpha":
            with pytest.raises(InputError, match=r"names none: .*alpha/ffffffffffff"):
                find(place, name)


def test_a_study_of_sweeps_alone_has_no_run_and_is_told_so(place):
    sweep = put(place.results, "gamma/sweeps/0123456789dd", "sweep")
    words = (
        "a stored run is required; .* has none, but a sweep, gamma/sweeps/0123456789dd; make one"
    )
    for name in ("gamma", sweep, sweep / "page.html"):
        with pytest.raises(InputError, match=words):
            find(place, name, ("run",))


def test_a_study_that_is_called_like_an_id_goes_before_first_digits(place):
    put(place.results, "abc/000000000000")
    put(place.results, "other/abc000000000")
    assert find(place, "abc").stored.group == "abc"
    assert find(place, "abc0").stored.group == "other"


def test_a_study_may_be_called_like_a_shelf(place):
    run = put(place.results, "states/0123456789ab")
    state = put(place.results, "states/2018-12-15-0123456789ab", "state")
    assert {one.kind: one.folder for one in everything(place.results)} == {
        "run": run,
        "state": state,
    }
    assert find(place, "states").folder == run
    assert find(place, "2018-12-15").folder == state


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "facts.json").unlink(), "facts.json cannot be read"),
        (lambda folder: (folder / "facts.json").write_text("{"), "holds no facts of a run"),
        (lambda folder: (folder / "facts.json").write_text("[]"), "holds no facts of a run"),
        (lambda folder: (folder / "facts.json").write_text("{}"), "holds no facts of a run"),
        (lambda folder: (folder / "facts.json").write_bytes(b"\xff"), "holds no facts of a run"),
        (lambda folder: (folder / "page.html").unlink(), "page.html is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: (folder / "page.html").write_text("<"), "page.html is not what was"),
    ],
)
def test_a_damaged_folder_is_named_and_the_others_are_listed(place, capsys, harm, said):
    put(place.results, "good/0123456789ab")
    harm(put(place.results, "bad/ffffffffffff"))
    (place.results / "notes").mkdir()
    (place.results / "notes" / "mine").mkdir()
    frame = dl.runs(workspace=place).frame
    assert said in frame.loc["bad/ffffffffffff", "damage"]
    assert frame.loc["good/0123456789ab", "damage"] == ""
    assert len(frame) == 2
    assert main(["runs", "--page"]) == 1
    printed = capsys.readouterr().out
    assert "damaged: " in printed
    assert said in " ".join(printed.split())
    assert "damaged: 1." in printed
    page = (place.results / "index.html").read_text()
    assert "damaged: bad/ffffffffffff: " in page
    assert said in page
    assert main(["open", "bad", "--print"]) == 2
    assert said in capsys.readouterr().err


def test_the_list_is_newest_first_fits_80_columns_and_is_filtered(place, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    params = {f"parameter_{n}": n * 1.25 for n in range(20)}
    put(
        place.results,
        "old/0123456789ab",
        age=9,
        params=params,
        start="2011-01-01",
        end="2025-01-01",
    )
    put(place.results, "new/0123456789ac", age=1)
    put(place.results, "new/sweeps/0123456789ad", "sweep", age=2)
    put(place.results, "claims/spring-0123456789ae", "claims", age=3)
    assert main(["runs"]) == 0
    printed = capsys.readouterr().out
    order = [printed.index(name) for name in ("new/01", "new/sweeps", "claims/spring", "old/01")]
    assert order == sorted(order)
    assert "2 runs, 1 sweep, 1 audit of claims" in printed
    assert "2011-01-01 to 2025-01-01" in printed
    for name, amount in params.items():
        assert f"{name}={amount}" in printed
    assert max(map(len, printed.splitlines())) <= max(80, len(f"in    {place.results}"))
    for words, names in (
        (["--kind", "sweep"], ["new/sweeps/0123456789ad"]),
        (["--study", "new"], ["new/0123456789ac", "new/sweeps/0123456789ad"]),
        (["--kind", "claims", "--study", "spring"], ["claims/spring-0123456789ae"]),
    ):
        assert main(["runs", *words, "--json"]) == 0
        assert list(json.loads(capsys.readouterr().out)["results"]) == names
    assert main(["runs", "--kind", "stroll"]) == 2
    assert "a kind must be one of run, sweep" in capsys.readouterr().err


def test_what_is_listed_is_read_without_opening_a_page(place, monkeypatch):
    put(place.results, "alpha/0123456789ab")
    opened: list[str] = []
    read = Path.read_text

    def seen(path: Path, *args: object, **more: object) -> str:
        opened.append(path.name)
        return read(path, *args, **more)

    monkeypatch.setattr(Path, "read_text", seen)
    assert len(dl.runs(workspace=place).frame) == 1
    assert set(opened) == {"facts.json"}


WRITER = """
import sys
from pathlib import Path
from delever.study.kept.stored import About, write_facts, write_index
results, own = Path(sys.argv[1]), sys.argv[2]
for number in range(4):
    folder = results / "study" / f"{own}{number:011x}"
    folder.mkdir(parents=True)
    (folder / "page.html").write_text("<main>")
    (folder / "manifest.json").write_text("{}")
    write_facts(folder, About(kind="run", name="study", page="page.html"), "It.")
    write_index(results)
    assert "</html>" in (results / "index.html").read_text()
"""


def test_writers_at_once_leave_an_index_of_everything(place):
    command = [sys.executable, "-c", WRITER, str(place.results)]
    started = [subprocess.Popen([*command, own]) for own in "ab"]
    assert [one.wait() for one in started] == [0, 0]
    text = (place.results / "index.html").read_text()
    assert len(set(re.findall(r'href="study/([0-9a-f]{12})/page.html"', text))) == 8
    assert len(text) < 60_000  # no library of figures
    assert not list(place.results.glob(".tmp*"))


def test_an_index_is_not_written_while_another_is(place, monkeypatch):
    rendered = threading.Event()
    monkeypatch.setattr(stored, "render", lambda *_: rendered.set() or "<!DOCTYPE html>")
    place.results.mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        with FileLock(place.results / ".lock"):
            written = pool.submit(write_index, place.results)
            assert not rendered.wait(0.2)
        assert written.result().is_file()
    assert rendered.is_set()


@pytest.mark.drawn(True)
def test_other_questions_get_other_pages_and_the_same_one_the_same(workspace, capsys):
    def state(*words: str) -> Path:
        assert main(["state", "--json", *words]) == 0
        return Path(json.loads(capsys.readouterr().out)["page"])

    first = state("--at", "2018-12-15")
    text = first.read_bytes()
    others = [state("--at", "2018-12-16"), state("--at", "2018-12-15", "--days", "7")]
    assert len({first, *others}) == 3
    assert first.read_bytes() == text
    assert state("--at", "2018-12-15") == first
    assert first.read_bytes() == text
    (workspace.backtests / "elsewhere").mkdir()
    aside = workspace.backtests / "elsewhere" / "s.html"
    assert state("--at", "2018-12-15", "-o", str(aside)) == aside
    assert aside.read_bytes() == text
    assert main(["open", "2018-12-15-BTC-USD", "--print"]) == 0
    assert "the newest of 2" in capsys.readouterr().err
    assert main(["runs", "--json", "--kind", "state"]) == 0
    listed = json.loads(capsys.readouterr().out)["results"]
    assert set(listed) == {
        one.parent.relative_to(workspace.results).as_posix() for one in (first, *others)
    }
    index = (workspace.results / "index.html").read_text()
    for page in (first, *others):
        assert f'href="{page.relative_to(workspace.results).as_posix()}"' in index


def test_signal_studies_that_differ_in_anything_asked_lie_apart(workspace, capsys):
    workspace.catalog.add(simulate_bars(400, seed=3), "made/ohlcv/B/USD/1d")
    asked = [[], ["--decides", "7"], ["--rung", "0.9"], ["--draws", "3"], ["--seed", "1"]]
    pages = []
    for words in asked:
        base = ["study", "signal", "round_number", "--draws", "2", "--horizon", "7", "--json"]
        base += ["--data", "made/ohlcv/B/USD/1d"]
        base += ["--decides", "5"] if "--decides" not in words else []
        assert main([*base, *words]) == 0
        pages.append(json.loads(capsys.readouterr().out)["page"])
    assert len(set(pages)) == len(asked)
    assert all(Path(page).is_file() for page in pages)


def test_runs_are_compared_and_exported_by_their_printed_names(workspace, capsys, tmp_path):
    studies = [f"backtests/{name}.toml" for name in ("buy_and_hold", "support_breach")]
    words = ["--set", "end=2013-06-01", "--json"]
    assert main(["run", *studies[:1], *words]) == 0
    assert main(["run", *studies[1:], *words, "--set", "params.weeks=20"]) == 0
    capsys.readouterr()
    assert main(["compare", "buy_and_hold", "support_breach", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    names = list(first["taken"].values())
    assert [name.split("/")[0] for name in names] == ["buy_and_hold", "support_breach"]
    assert main(["compare", names[0].split("/")[1][:9], names[1], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["comparison"] == first["comparison"]
    made = [
        dl.run(study, {"end": "2013-06-01", **params}, fresh=True, quick=True, workspace=workspace)
        for study, params in zip(studies, ({}, {"params.weeks": 20}), strict=True)
    ]
    fresh = dl.compare(*made).store(workspace)
    folders = [run.folder for run in made]
    assert dl.compare(*folders, workspace=workspace).store(workspace) == fresh
    assert main(["compare", "buy_and_hold", "absent"]) == 2
    assert "'absent' names none" in capsys.readouterr().err
    back = dl.result("buy_and_hold-support_breach", workspace=workspace)
    assert back.headline == first["headline"]
    assert main(["export", first["comparison"], str(tmp_path / "out"), "--format", "parquet"]) == 0
    made = {Path(line).name for line in capsys.readouterr().out.splitlines()}
    assert made == {path.name for path in (tmp_path / "out").iterdir()}
    compared = dl.compare(*names, workspace=workspace)
    assert made == {"summary.md", *(f"{name}.parquet" for name in compared.tables)}
    again = pd.read_parquet(tmp_path / "out" / "metrics.parquet")
    assert again["metric"].tolist() == list(compared.metrics.index)
    np.testing.assert_array_equal(again.iloc[:, 1:], compared.metrics)
    run = dl.result("support_breach", workspace=workspace)
    assert isinstance(run, dl.Run)
    for path in run.export(tmp_path / "run"):
        if path.suffix == ".csv":
            table = flat(run.tables[path.stem])
            read = pd.read_csv(path)
            assert list(read) == list(table)
            assert len(read) == len(table)
            for name in table.select_dtypes("float"):
                np.testing.assert_allclose(read[name].astype(float), table[name], rtol=1e-15)
    summary = (tmp_path / "run" / "summary.md").read_text()
    assert run.headline in summary
    assert "| --- |" in summary
    assert run.notes
    assert all(f"\n- {note}\n" in summary for note in run.notes)
    page = Path(first["comparison"])
    (table,) = (page.parent / "tables").glob("*-metrics.parquet")
    table.write_bytes(table.read_bytes()[:-9])
    with pytest.raises(StoreError, match=r"metrics\.parquet is not what was written"):
        dl.result(page, workspace=workspace)


def test_pictures_are_drawn_by_chromium(tmp_path, monkeypatch):
    if not required():
        pytest.importorskip("kaleido", reason="the extra png is not installed")
        if chromium() is None:
            pytest.skip("there is no Chromium")
    closes = dl.market("sample/ohlcv/BTC/USD/1d", end="2014-01-01").bars["close"]
    report = dl.event_study(closes, closes.pct_change() < -0.15)
    made = [path for path in report.export(tmp_path, png=True) if path.suffix == ".png"]
    assert [path.name for path in made] == ["figure-path.png"]
    assert made[0].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(InputError, match="none was found; install one"):
        report.export(tmp_path, png=True)


def test_without_kaleido_a_picture_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaleido", None)
    closes = dl.market("sample/ohlcv/BTC/USD/1d", end="2014-01-01").bars["close"]
    report = dl.event_study(closes, closes.pct_change() < -0.15)
    with pytest.raises(InputError, match=r"pip install 'delever\[png\]'"):
        report.export(tmp_path / "out", png=True)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(InputError, match="form must be one of csv, parquet; got 'xlsx'"):
        report.export(tmp_path / "out", form="xlsx")
    with pytest.raises(InputError, match="type EventReport has no place among the results"):
        report.store(tmp_path)


def test_tables_of_mixed_values_and_like_names_are_written_apart(tmp_path):
    from delever.study.kept.exporting import export_result

    mixed = pd.DataFrame({"x": [1, "one", (1.5, None)], "t|u": ["a\nb", "c", "d"]})

    class Odd(dl.Result):
        headline = "One | two."

        @property
        def tables(self) -> dict[str, pd.DataFrame]:
            return {"a/b": mixed, "a b": pd.DataFrame({"y": [0.1]})}

    made = [path.name for path in export_result(Odd(), tmp_path, "parquet", png=True)]
    assert made == ["a-b-2.parquet", "a-b.parquet", "summary.md"]
    texts = pd.read_parquet(tmp_path / "a-b.parquet")["x"]
    assert [json.loads(one) for one in texts] == [1, "one", [1.5, None]]
    lines = (tmp_path / "summary.md").read_text().splitlines()
    assert "| x | t\\|u |" in lines
    assert "| 1 | a b |" in lines


def test_choosing_takes_the_newest_sweep_of_a_study_whatever_was_run_since(place, capsys):
    put(place.results, "alpha/0123456789ab")
    assert main(["select", "alpha"]) == 2
    assert "make one first (delever sweep)" in capsys.readouterr().err
    for age, own in enumerate(("1123456789ab", "2123456789ab"), start=1):
        put(place.results, f"alpha/sweeps/{own}", kind="sweep", age=age)
    assert main(["select", "alpha"]) == 1  # it holds no combinations; the newest is named
    assert "sweeps/1123456789ab" in capsys.readouterr().err


def test_a_browser_is_asked_to_open_the_page(place, capsys, monkeypatch):
    folder = put(place.results, "alpha/0123456789ab")
    asked: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: asked.append(address) or len(asked) < 2)
    assert main(["open", "alpha"]) == 0
    assert asked == [(folder / "page.html").as_uri()]
    assert capsys.readouterr().out.strip() == str(folder / "page.html")
    assert main(["open", "alpha"]) == 2
    assert "none could be started" in capsys.readouterr().err
    assert main(["open", "alpha", "--print"]) == 0
    assert len(asked) == 2


def test_a_page_that_cannot_be_written_leaves_what_was_there(place, monkeypatch):
    folder = place.results / "states" / "a-0123456789ab"

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with stored.placed(folder, place.results) as draft:
        (draft / "x").write_text("before")
    monkeypatch.setattr(stored, "replace_folder", full)
    with (
        pytest.raises(StoreError, match="No space left"),
        stored.placed(folder, place.results) as draft,
    ):
        (draft / "x").write_text("after")
    assert (folder / "x").read_text() == "before"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_an_index_of_nothing_says_so(place):
    assert "0 stored" in write_index(place.results).read_text()
    assert dl.runs(workspace=place).headline == "Stored: nothing."

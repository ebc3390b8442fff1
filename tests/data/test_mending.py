"""Changes by hand: what they do, what they record, what stays, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.data.manifest import Manifest
from delever.errors import ConflictError, InputError, NotStoredError

NAME = "v/ohlcv/BTC/USD/1d"
COLUMNS = ["open", "high", "low", "close", "volume"]


def bars(rows: int = 10, start: str = "2022-12-27") -> pd.DataFrame:
    days = pd.date_range(start, periods=rows, tz="UTC", unit="ns", name="open_time")
    return pd.DataFrame(
        [[10.0 + n, 12.0 + n, 9.0 + n, 11.0 + n, 1.0 + n] for n in range(rows)], days, COLUMNS
    )


@pytest.fixture
def stored(workspace):
    """Ten days over a new year."""
    dl.import_data(bars(), "v", "BTC/USD", workspace=workspace)
    return workspace


def rows(workspace) -> pd.DataFrame:
    return workspace.catalog.load(NAME).frame


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_freq=False)


def test_an_unfinished_last_bar_is_dropped_and_imported_anew(stored):
    later = bars(12)
    later.iloc[9, 1:4] = [30.0, 9.0, 29.0]  # its tenth day went on
    with pytest.raises(ConflictError, match=r"delever data drop v/ohlcv/BTC/USD/1d --from 2023-01"):
        dl.import_data(later, "v", "BTC/USD")
    done = dl.data_drop(NAME, "2023-01-05", why="unfinished", by="ann")
    assert done.headline == (
        f"{NAME}: dropped 1 row of 2023-01-05; 9 rows now. Until the next delever data verify it "
        f"is undone by: delever data undo {NAME}"
    )
    dl.import_data(later, "v", "BTC/USD")
    same(rows(stored), later)
    record = stored.catalog.load(NAME).provenance[1]
    assert (record["change"], record["rows"], record["who"], record["why"]) == (
        "drop",
        1,
        "ann",
        "unfinished",
    )
    assert record["first"] == record["last"] == "2023-01-05T00:00:00Z"
    assert pd.Timestamp(record["when"]).tz is not None
    # Undone, it is what it was before the drop; what was imported since goes too.
    assert dl.data_undo(NAME).rows == 10
    same(rows(stored), bars())
    assert stored.catalog.check(NAME)[0].problems == ()


def test_a_file_takes_the_place_of_what_is_stored_over_its_span(stored):
    anew = bars(12) * 2
    anew = anew.drop(anew.index[5])
    done = dl.data_replace(NAME, anew, "2022-12-30", by="ann")
    expected = pd.concat([bars().iloc[:3], anew.loc["2022-12-30":]])
    same(rows(stored), expected)
    assert (done.rows, done.record["rows"], done.record["replaced"]) == (11, 8, 7)
    # What lies after its last row stays.
    dl.data_replace(NAME, bars(1) * 3, by="ann")
    same(rows(stored), pd.concat([bars(1) * 3, expected.iloc[1:]]))
    assert list(done.tables["changes"]["change"]) == ["replace"]
    for _ in range(2):
        dl.data_undo(NAME)
    same(rows(stored), bars())
    with pytest.raises(NotStoredError, match="nothing to undo"):
        dl.data_undo(NAME)


def test_mended_rows_are_said_on_pages_with_what_they_were(stored):
    mended = bars().iloc[[4]].assign(low=5.0)
    done = dl.data_mend(NAME, mended, why="no other venue traded there", by="ann")
    day = str(done.record["when"])[:10]
    said = (
        "mended by hand: 1 row of 2022-12-31 (low 13 to 5; no other venue traded there; by ann on "
        f"{day})"
    )
    data = dl.load(NAME)
    assert data.notes == (said,)
    assert said in dl.backtest(dl.market(NAME), "buy_and_hold", costs=dl.Costs()).notes
    assert rows(stored)["low"].iloc[4] == 5.0
    assert done.record["before"][0]["low"] == 13.0
    with pytest.raises(InputError, match="holds these values already"):
        dl.data_mend(NAME, mended, why="again", by="ann")
    with pytest.raises(
        InputError, match=r"must be stored or quarantined; .* has none at 2023-01-06"
    ):
        dl.data_mend(NAME, bars(12).iloc[[10]], why="more", by="ann")
    with pytest.raises(InputError, match="a reason is required"):
        dl.data_mend(NAME, mended, why=" ", by="ann")


def test_a_quarantined_bar_is_a_hole_to_a_run_and_comes_back_as_it_was(stored):
    before = dl.data_check(NAME).checks[0]
    dl.data_quarantine(NAME, "2022-12-31", why="an odd print", by="ann")
    same(rows(stored), bars().drop(pd.Timestamp("2022-12-31", tz="UTC")))
    market = dl.market(NAME)
    assert len(market.bars) == 9
    (said,) = (note for note in market.notes if note.startswith("quarantined"))
    assert said.startswith(
        "quarantined by hand, and missing like a hole: 1 row of 2022-12-31 (an odd print; by ann"
    )
    assert any("1 gaps (1 missing bars" in n or "1 gap (1 missing bar" in n for n in market.notes)
    # Held through like any hole: from the close before it to the open after it.
    run = dl.backtest(market, pd.Series(1.0, market.index), costs=dl.Costs())
    after = run.equity.loc["2023-01-01"] / run.equity.loc["2022-12-30"]
    assert after == pytest.approx(16.0 / 14.0)
    # It is stored, so nobody is asked for it, and an import does not bring it back.
    check = dl.data_check(NAME).checks[0]
    assert check.unknown == 0
    pd.testing.assert_frame_equal(check.coverage, before.coverage)
    report = dl.import_data(bars(11), "v", "BTC/USD").reports[0]
    assert (report.added, report.present) == (1, 9)
    assert len(rows(stored)) == 10
    dl.data_quarantine(NAME, "2022-12-31", release=True, by="ann")
    same(rows(stored), bars(11))
    assert not any("quarantined" in note for note in dl.load(NAME).notes)
    changes = [one["change"] for one in dl.load(NAME).provenance if "change" in one]
    assert changes == ["quarantine", "release"]


def test_a_quarantine_keeps_undefined_values_and_the_manifest_gives_it_back(workspace):
    fear = pd.DataFrame(
        {"value": [24.0, float("nan"), 23.0], "flow": [1.0, 2.0, 3.0]},
        pd.date_range("2026-01-01", periods=3, tz="UTC", name="timestamp"),
    )
    dl.import_data(fear, "mine", "FEAR", kind="series")
    name = "mine/series/FEAR/1d"
    dl.data_quarantine(name, "2026-01-02", "2026-01-04", why="odd", by="ann")
    store = workspace.catalog.store
    manifest = store.manifest(workspace.catalog.own(name).folder)
    assert Manifest.from_bytes(manifest.to_bytes(), "x") == manifest
    assert [row.values["value"] for row in manifest.quarantined] == [None, 23.0]
    # A mended row is no longer set aside.
    dl.data_mend(name, fear.iloc[[1]].fillna(20.0), why="read off a chart", by="ann")
    assert dl.load(name).frame["value"].tolist() == [24.0, 20.0]
    dl.data_quarantine(name, "2026-01-03", release=True, by="ann")
    assert dl.load(name).frame["value"].tolist() == [24.0, 20.0, 23.0]


def test_a_removed_data_set_comes_back_until_it_is_verified(stored):
    assert dl.data_remove(NAME, by="ann").rows == 0
    assert [str(one.reference) for one in stored.catalog.list()] == ["sample/ohlcv/BTC/USD/1d"]
    with pytest.raises(NotStoredError):
        dl.load(NAME)
    # Another one may take its place meanwhile.
    dl.import_data(bars(3) * 5, "v", "BTC/USD")
    assert dl.data_undo(NAME).rows == 10
    same(rows(stored), bars())
    dl.data_remove(NAME, by="ann")
    done = dl.data_verify(NAME)
    assert len(done.forgotten) == 1
    assert done.forgotten[0].startswith(f"{NAME}: the remove of ")
    assert list((stored.root / "data" / "store").rglob("*.parquet")) == []
    with pytest.raises(NotStoredError):
        dl.data_undo(NAME)


def test_verify_lets_go_of_the_old_rows_of_whole_data_sets_alone(stored):
    dl.data_drop(NAME, "2022-12-28", "2022-12-30", by="ann")
    parts = list((stored.root / "data" / "store").rglob("2022-*.parquet"))
    assert len(parts) == 2
    (new,) = (part for part in parts if part.name in stored_parts(stored))
    kept = new.read_bytes()
    new.write_bytes(kept[:-1])
    assert dl.data_verify().forgotten == ()
    new.write_bytes(kept)
    assert len(dl.data_verify().forgotten) == 1
    assert len(list((stored.root / "data" / "store").rglob("2022-*.parquet"))) == 1
    with pytest.raises(NotStoredError, match="nothing to undo"):
        dl.data_undo(NAME)


def stored_parts(workspace) -> set[str]:
    catalog = workspace.catalog
    return {part.name for part in catalog.store.manifest(catalog.own(NAME).folder).parts}


def test_rows_that_were_dropped_are_not_called_absent(workspace):
    dl.import_data(bars(), "v", "BTC/USD", complete=True)
    dl.data_drop(NAME, "2022-12-29", "2022-12-31", by="ann")
    table = workspace.catalog.coverage(NAME)
    assert table[["state", "bars"]].to_numpy().tolist() == [
        ["present", 2],
        ["unknown", 2],
        ["present", 6],
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: dl.data_drop(NAME, "2030-01-01", by="a"), "must have rows from 2030-01-01"),
        (lambda: dl.data_drop(NAME, "2000-01-01", by="a"), "must keep a row.*data remove"),
        (lambda: dl.data_drop(NAME, "2023-01-01", "2022-01-01", by="a"), "must end after it"),
        (lambda: dl.data_drop("sample/ohlcv/BTC/USD/1d", "2020-01-01"), "cannot be changed"),
        (lambda: dl.data_drop(NAME, "2023-01-01", why="a\nb", by="a"), "one line of text"),
        (lambda: dl.data_replace(NAME, bars(), "2030-01-01", by="a"), "give an earlier --from"),
        (
            lambda: dl.data_quarantine(NAME, "2023-01-01", release=True, by="a"),
            "must have quarantined rows from 2023-01-01.*it has none",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence_and_changes_nothing(stored, change, said):
    folder = stored.root / "data" / "store"
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    with pytest.raises(InputError, match=said) as caught:
        change()
    assert "\n" not in str(caught.value)
    assert before == {path: path.read_bytes() for path in folder.rglob("*.*")}


def test_other_columns_or_volumes_do_not_fit(stored):
    with pytest.raises(ConflictError, match="without"):
        dl.data_replace(NAME, bars().assign(volume=float("nan")), by="a")
    with pytest.raises(NotStoredError, match="did you mean v/ohlcv/BTC/USD/1d"):
        dl.data_drop("v/ohlcv/BTC/USDT/1d", "2023-01-01")


def test_the_command_line_does_the_same(stored, capsys):
    text = bars().iloc[[4]].assign(low=5.0).to_csv(date_format="%Y-%m-%dT%H:%M:%SZ")
    Path("mended.csv").write_text(text)
    words = [
        ["drop", NAME, "--from", "2023-01-05", "--by", "ann"],
        ["mend", NAME, "--from", "mended.csv", "--why", "a print", "--by", "ann"],
        ["quarantine", NAME, "--from", "2022-12-28", "--why", "a print", "--by", "ann"],
        ["quarantine", NAME, "--from", "2022-12-28", "--release", "--by", "ann"],
        ["replace", NAME, "mended.csv", "--by", "ann", "--json"],
        ["remove", NAME, "--by", "ann"],
        ["undo", NAME],
    ]
    said = []
    for line in words:
        assert main(["data", *line]) == 0
        said.append(capsys.readouterr().out)
    assert f"{NAME}: mended 1 row of 2022-12-31; 9 rows now." in said[1]
    assert f"{NAME}: quarantined 1 row of 2022-12-28; 8 rows now." in said[2]
    assert json.loads(said[4])["record"]["change"] == "replace"
    assert said[6] == f"{NAME}: undone: removed with 9 rows; 9 rows now.\n"
    assert main(["data", "verify", NAME]) == 0
    out = capsys.readouterr().out
    assert "whole" in out
    assert out.count("cannot be undone any more") == 5
    assert main(["data", "undo", NAME]) == 1
    assert "nothing to undo" in capsys.readouterr().err

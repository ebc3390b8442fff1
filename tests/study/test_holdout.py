"""A sealed holdout: every door hands out what was known before it, and a look is recorded first."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

SINCE = pd.Timestamp("2020-01-01", tz="UTC")
SAMPLE = "sample/ohlcv/BTC/USD/1d"


@pytest.fixture
def sealed(workspace):
    (workspace.root / "data" / "holdout.toml").write_text("[holdout]\nfrom = 2020-01-01\n")
    return workspace


@pytest.mark.otherwise(True)
def test_no_door_hands_out_a_row_that_was_known_later(sealed, tmp_path, capsys) -> None:
    data = dl.load(SAMPLE)
    assert data.frame.index[-1] + data.publication_lag == SINCE
    assert data.notes[-1].startswith("sealed: ")
    assert dl.market(SAMPLE).index[-1] < SINCE
    assert dl.market(SAMPLE, end="2024-01-01").index[-1] < SINCE
    run = dl.run("backtests/buy_and_hold.toml", quick=True)
    assert run.equity.index[-1] < SINCE
    assert any(note.startswith("sealed: ") for note in run.notes)
    (sealed.root / "backtests" / "grid.toml").write_text(
        f'strategy = "ma200w_break"\ndata = "{SAMPLE}"\n[sweep.params]\nweeks = [20, 40]\n'
    )
    swept = dl.sweep("backtests/grid.toml", workers=1)
    assert pd.Timestamp(swept.manifest["data"]["end"]) < SINCE
    walk = dl.walk_forward("backtests/grid.toml", window=700, shifts=0)
    assert walk.run.equity.index[-1] < SINCE
    told = str(dl.state(data=SAMPLE).to_dict())
    study = dl.signal_study("average", SAMPLE, {"weeks": 50}, design=dl.StudyDesign(draws=50))
    told += str(study.to_dict())
    written = dl.export(SAMPLE, tmp_path / "out.csv")
    assert pd.read_csv(written, index_col=0, parse_dates=True).index[-1] < SINCE
    assert not any(f"{year}-" in told for year in range(2021, 2026))
    assert main(["periods", "--data", SAMPLE, "--json"]) == 0
    assert "2024-08" not in json.dumps(json.loads(capsys.readouterr().out).get("detection", ""))


@pytest.mark.drawn(True)
def test_a_look_is_recorded_before_it_is_taken_and_stays_on_the_page(sealed, capsys) -> None:
    before = dl.run("backtests/buy_and_hold.toml", quick=True)
    with pytest.raises(dl.DeleverError, match="needs a reason"):
        dl.unseal("backtests/buy_and_hold.toml", why=" ")
    assert dl.holdout().frame.empty
    assert main(["unseal", "backtests/buy_and_hold.toml", "--why", "the last step"]) == 0
    assert "the holdout from 2020-01-01 on was looked at: look 1" in capsys.readouterr().out
    seen = dl.run("buy_and_hold")
    assert seen.equity.index[-1] > SINCE
    assert seen.folder != before.folder
    page = (seen.folder / "tearsheet.html").read_text()
    assert "look 1 of this workspace" in page
    assert "the last step" in page
    again = dl.run("backtests/buy_and_hold.toml", quick=True)  # sealed as before, from the cache
    assert again.cached
    assert again.equity.index[-1] < SINCE
    [look] = dl.holdout().frame.to_dict("records")
    assert (look["study"], look["why"], look["look"]) == ("buy_and_hold", "the last step", 1)
    assert main(["holdout"]) == 0
    assert "were looked at 1 time" in capsys.readouterr().out


def test_a_look_that_fails_counts_all_the_same(sealed) -> None:
    (sealed.root / "backtests" / "wrong.toml").write_text(
        f'strategy = "none_such"\ndata = "{SAMPLE}"\n'
    )
    with pytest.raises(dl.DeleverError, match="none_such"):
        dl.unseal("backtests/wrong.toml", why="try")
    assert len(dl.holdout().frame) == 1


def test_what_cannot_be_is_refused(workspace) -> None:
    with pytest.raises(dl.DeleverError, match="needs a holdout"):
        dl.unseal("backtests/buy_and_hold.toml", why="x")
    place = workspace.root / "data" / "holdout.toml"
    for text in (
        b"from = 2020-01-01",
        b"[holdout]\nfrom = 3",
        b"[holdout",
        b"\xff\xfe",
        b"a=" + b"[" * 99,
    ):
        place.write_bytes(text)
        with pytest.raises(dl.DeleverError, match=r"holdout\.toml"):
            dl.load(SAMPLE)
    place.write_text("[holdout]\nfrom = 2000-01-01\n")
    with pytest.raises(dl.DeleverError, match="no row before the holdout"):
        dl.load(SAMPLE)


def test_a_look_that_was_cut_short_is_named(sealed) -> None:
    dl.unseal("backtests/buy_and_hold.toml", why="once")
    looks = sealed.root / "data" / "holdout_looks.jsonl"
    looks.write_text(looks.read_text()[:-9])
    with pytest.raises(dl.DeleverError, match="must hold a look on each line"):
        dl.holdout()

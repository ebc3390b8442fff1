"""The ledger of trials: everything tried on a market is in it once, whatever asked for it."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import delever as dl
from delever.cli.app import main
from delever.errors import InputError, StoreError
from delever.study.inputs.fingerprint import anchors, digest, is_one
from delever.study.ledger.ledger_lines import read_looks, read_worth
from delever.study.ledger.trial_blocks import TrialBlock, identity, line_ids
from delever.study.ledger.trials import (
    MARKETS,
    Ledger,
    merge,
    read_markets,
    read_trials,
)
from delever.study.settings.grid import Grid

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

STUDY = """
strategy = "ma200w_break"
data = "{data}"
start = 2013-01-01
end = 2015-01-01
counterfactuals = []
[costs]
taker_fee = 0.001
slippage = 0.0005
{more}
"""
SAMPLE = "sample/ohlcv/BTC/USD/1d"


def wandering(periods: int, *, freq: str = "1D", start: str = "2020-01-01", seed: int = 3):
    rng = np.random.default_rng(seed)
    index = pd.date_range(start, periods=periods, freq=freq, tz="UTC", name="open_time")
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, periods)))
    opened = np.append(100.0, close[:-1])
    table = {"open": opened, "close": close, "volume": 1.0}
    bars = pd.DataFrame(table, index=index)
    both = bars[["open", "close"]]
    return bars.assign(high=both.max(axis=1), low=both.min(axis=1))


def write(place, name: str, more: str = "", data: str = SAMPLE):
    path = place.backtests / f"{name}.toml"
    path.write_text(STUDY.format(data=data, more=more))
    return path


def sweep(place, name: str, weeks: list[int], data: str = SAMPLE):
    path = write(place, name, f"[sweep.params]\nweeks = {weeks}", data)
    return dl.sweep(path, workers=1, workspace=place)


@pytest.mark.otherwise(True)
def test_two_study_files_a_run_and_notebooks_count_on_one_market(workspace) -> None:
    assert sweep(workspace, "one", [10, 12, 14, 16]).n_trials == 4
    two = sweep(workspace, "two", [18, 20, 22, 24])
    assert (two.n_trials, two.deflation.trials) == (8, 8)
    assert "8" in two.about["Trials ever made on these data"]
    # A combination by itself is the trial it was; another window is one more.
    one = write(workspace, "one")
    again = dl.run(one, set={"params.weeks": 12}, quick=True, workspace=workspace)
    assert again.manifest["n_trials"] == 8
    assert any(note.startswith("this is one of 8 trials on these data") for note in again.notes)
    assert dl.run(one, set={"params.weeks": 26}, quick=True).manifest["n_trials"] == 9
    market = dl.market(SAMPLE, start="2013-01-01", end="2015-01-01")
    assert dl.backtest(market, "ma200w_break", weeks=12).manifest["n_trials"] == 9
    assert dl.backtest(market, "ma200w_break", weeks=28).manifest["n_trials"] == 10
    assert dl.sweep(market, "ma200w_break", {"weeks": [28, 30]}).n_trials == 11
    dearer = dl.Costs(taker_fee=0.002)
    assert dl.backtest(market, "ma200w_break", weeks=12, costs=dearer).manifest["n_trials"] == 12
    quick = {"window": 300, "step": 300, "shifts": 0}
    dl.walk_forward(market, "ma200w_break", {"weeks": [12, 32]}, **quick)
    assert dl.trials(SAMPLE).frame["by"].value_counts().to_dict() == {
        **{"sweep": 8, "notebook": 4, "run": 1},  # what it held is one, as exposures are
        "walk": 1,
    }
    found = dl.trials(SAMPLE)
    assert len(found.markets) == 1
    assert {"one", "two", "ma200w_break"} <= set(found.frame["study"])


def test_the_same_prices_under_another_name_are_the_same_market(workspace) -> None:
    assert sweep(workspace, "one", [10, 12]).n_trials == 2
    bars = dl.load(SAMPLE).frame
    workspace.catalog.add(bars.iloc[:-300], "mine/ohlcv/COPY/1d")
    other = sweep(workspace, "two", [14, 16], data="mine/ohlcv/COPY/1d")
    assert other.n_trials == 4
    # The same combination on the copy, and on the copy once it grew, is no other trial.
    assert sweep(workspace, "three", [10], data="mine/ohlcv/COPY/1d").n_trials == 4
    workspace.catalog.add(bars, "mine/ohlcv/COPY/1d")
    assert sweep(workspace, "four", [10, 14], data="mine/ohlcv/COPY/1d").n_trials == 4
    [market] = dl.trials().markets.to_dict("records")
    assert market["data"] == f"{SAMPLE}, mine/ohlcv/COPY/1d"


def test_functions_and_exposures_are_what_they_answered(workspace) -> None:
    market = dl.market(wandering(400), timeframe="1d")
    window = 5

    def above(market):
        close = market.bars["close"]
        return (close > close.rolling(window, min_periods=1).mean()).astype(float)

    counts = [dl.backtest(market, above).manifest["n_trials"]]
    window = 9  # the source is as it was
    counts.append(dl.backtest(market, above).manifest["n_trials"])
    counts.append(dl.backtest(market, above).manifest["n_trials"])
    own = pd.Series(0.5, index=market.index)
    counts += [dl.backtest(market, own * share).manifest["n_trials"] for share in (1.0, 1.0, 0.5)]
    assert counts == [1, 2, 2, 3, 3, 4]
    dl.screen(market, pd.DataFrame({"half": own, "less": 0.3 * own}))  # one of them is new
    assert len(dl.trials().frame) == 5


def test_the_package_s_own_files_hold_nobody_s_trials(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    market = dl.market(wandering(60), timeframe="1d")
    done = dl.backtest(market, "buy_and_hold")
    assert done.manifest["n_trials"] == 1
    with pytest.raises(InputError, match=r"a workspace .* is required"):
        dl.trials()


@pytest.mark.parametrize("timeframe", ["4h", "1w"])
def test_a_market_is_known_by_its_prices(timeframe: str) -> None:
    hours = wandering(6 * 7 * 30, freq="4h")
    days = hours.resample("1D").agg({"open": "first", "close": "last"})
    own = anchors(days)
    other = hours if timeframe == "4h" else hours.resample("W-MON", label="left", closed="left")
    bars = other if timeframe == "4h" else other.agg({"open": "first"}).iloc[1:]
    assert is_one(own, anchors(bars))
    assert is_one(own, anchors(1_000.0 * days.iloc[60:]))  # on another scale, from later on
    revised = days.copy()
    revised.iloc[::40, 0] *= 1.01  # a few rows corrected since
    assert is_one(own, anchors(revised))
    assert not is_one(own, anchors(wandering(210, seed=4)))
    near = days * (1.0 + 0.0005 * np.random.default_rng(1).normal(size=(len(days), 1)))
    assert not is_one(own, anchors(near))  # another venue


@given(cut=st.integers(3, 209), data=st.data())
def test_a_longer_stretch_is_of_the_market_of_a_shorter(cut: int, data: st.DataObject) -> None:
    bars = wandering(210)
    part = bars.iloc[cut - data.draw(st.integers(3, cut)) : cut]
    assert is_one(anchors(bars), anchors(part))


def ledger(folder, bars=None) -> Ledger:
    bars = wandering(100) if bars is None else bars
    return Ledger(folder=folder, found=anchors(bars), reference="made/ohlcv/X/1d", last="2020-04")


def put(one: Ledger, *numbers: int) -> int:
    made = [{"strategy": {"name": "s"}, "params": {"n": n}} for n in numbers]
    return one.record(made, by="run", study="s", until=pd.Timestamp("2020-04-09", tz="UTC"))


def held(folder) -> list[int]:
    [market] = read_markets(folder)
    return sorted(one["params"]["n"] for one, _ in read_trials(folder, market.id))


APPEND = """
import pickle, time
from pathlib import Path
own, until = pickle.loads(Path({own!r}).read_bytes())
print("begun", flush=True)
while not Path({gate!r}).exists():
    time.sleep(0.001)
for n in range({first}, {first} + {size}, {step}):
    numbers = range(n, min(n + {step}, {first} + {size}))
    made = [{{"strategy": {{"name": "s"}}, "params": {{"n": n}}}} for n in numbers]
    own.record(made, by="run", study="s", until=until)
"""


def start(folder, *, first: int, size: int, step: int) -> subprocess.Popen:
    own = folder / "own.pickle"
    own.write_bytes(pickle.dumps((ledger(folder), pd.Timestamp("2020-04-09", tz="UTC"))))
    gate = str(folder / "gate")
    text = APPEND.format(own=str(own), gate=gate, first=first, size=size, step=step)
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)


def test_processes_that_append_at_once_lose_none_and_repeat_none(tmp_path) -> None:
    # What one writes, the other writes in the same moment.
    many = [start(tmp_path, first=0, size=100 + 50 * n, step=2) for n in range(2)]
    assert [one.stdout.readline() for one in many] == [b"begun\n"] * 2
    (tmp_path / "gate").touch()  # now, both at once
    assert [one.communicate() and one.returncode for one in many] == [0] * 2
    assert held(tmp_path) == list(range(150))
    [market] = read_markets(tmp_path)
    assert len((tmp_path / f"{market.id}.jsonl").read_text().splitlines()) == 150


def test_a_killed_writer_leaves_a_ledger_that_is_read_and_written(tmp_path) -> None:
    (tmp_path / "gate").touch()
    one = start(tmp_path, first=0, size=1_000_000, step=3)
    assert one.stdout is not None
    one.stdout.readline()
    deadline = time.monotonic() + 30.0
    while not list(tmp_path.glob("[0-9a-f]*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.001)
    one.send_signal(signal.SIGKILL)
    one.communicate()
    before = held(tmp_path)
    assert before == list(range(len(before)))
    assert put(ledger(tmp_path), -1) == len(before) + 1
    assert held(tmp_path) == [-1, *before]


def test_half_a_line_is_no_trial_and_spoils_none(tmp_path) -> None:
    own = ledger(tmp_path)
    assert put(own, 1, 2, 3) == 3
    [market] = read_markets(tmp_path)
    path = tmp_path / f"{market.id}.jsonl"
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        kept = len(held(tmp_path))
        assert kept == ledger(tmp_path).count() == whole[:cut].count(b"\n")
    path.write_bytes(whole[:-30])
    assert put(ledger(tmp_path), 3, 4) == 4
    assert held(tmp_path) == [1, 2, 3, 4]


def test_what_two_stretches_saw_is_counted_where_both_are(tmp_path) -> None:
    bars = wandering(300)
    assert put(ledger(tmp_path, bars.iloc[:120]), 1, 2) == 2
    assert put(ledger(tmp_path, bars.iloc[150:]), 2, 3) == 2  # nothing shows they are one
    assert put(ledger(tmp_path, bars), 4) == 4
    assert ledger(tmp_path, bars.iloc[:120]).count() == 3


def test_a_trial_of_two_stretches_is_worth_one(tmp_path) -> None:
    bars = wandering(300)
    put(ledger(tmp_path, bars.iloc[:120]), 1, 2)
    put(ledger(tmp_path, bars.iloc[150:]), 2, 3)
    own = ledger(tmp_path, bars)
    put(own, 4)
    assert (own.count(), own.elsewhere()) == (4, 3.0)


def test_sweeps_in_a_notebook_are_one_family_only_where_they_are_the_same_trials(workspace) -> None:
    market, axes = dl.market(wandering(60), timeframe="1d"), {"window": [5, 9]}

    def mean(market: dl.MarketView, *, window: int = 5) -> pd.Series:
        close = market.bars["close"]
        return (close > close.rolling(window, min_periods=1).mean()).astype(float)

    def middle(market: dl.MarketView, *, window: int = 5) -> pd.Series:
        close = market.bars["close"]
        return (close > close.rolling(window, min_periods=1).median()).astype(float)

    middle.__name__ = "mean"  # the same function, edited
    for function, costs in ((mean, None), (mean, None), (middle, None), (mean, dl.Costs())):
        dl.sweep(market, function, axes, costs=costs)
    families = [
        said["family"]
        for known in read_markets(workspace.trials)
        for said, _ in read_trials(workspace.trials, known.id)
    ]
    assert sorted(map(families.count, set(families))) == [2, 2, 2]


def test_a_trial_cut_short_is_another_than_one_to_the_end_of_its_data(tmp_path) -> None:
    own = ledger(tmp_path)
    trial = [{"strategy": {"name": "s"}}]
    for until, expected in (("2020-04-09", 1), ("2020-04-12", 1), ("2020-02-01", 2)):
        moment = pd.Timestamp(until, tz="UTC")
        assert own.record(trial, by="run", study="s", until=moment) == expected


def test_ledgers_are_merged_by_their_trials(tmp_path, workspace, capsys) -> None:
    bars = wandering(300)
    theirs = tmp_path / "theirs"
    put(ledger(theirs, bars.iloc[50:]), 1, 2, 3)
    ledger(theirs, bars.iloc[50:]).worth("a sweep", 4, 2.0)
    ledger(theirs, bars.iloc[50:]).look([{"signal": "s", "timeframe": "1d"}], until=bars.index[-1])
    put(ledger(theirs, wandering(200, seed=9)), 7)
    put(ledger(workspace.trials, bars.iloc[:200]), 3, 4)
    found = dl.trials(merge_from=theirs)
    assert (found.added, len(found.frame)) == (3, 5)
    assert sorted(found.markets["trials"]) == [1, 4]
    assert found.signals["signal"].tolist() == ["s"]
    assert dl.trials(merge_from=theirs).added == 0
    [own] = ledger(workspace.trials, bars).matching()
    assert read_worth(workspace.trials, own.id) == {"a sweep": 0.5}
    assert len(list(read_looks(workspace.trials, own.id))) == 1
    assert put(ledger(workspace.trials, bars), 5) == 5
    with pytest.raises(StoreError, match=r"a ledger of trials is a folder with markets\.jsonl"):
        dl.trials(merge_from=tmp_path / "nowhere")
    with pytest.raises(InputError, match="is this one"):
        dl.trials(merge_from=workspace.root)
    assert main(["trials", "--merge", str(theirs)]) == 0
    assert "0 trials merged. 6 trials on 2 markets since" in " ".join(
        capsys.readouterr().out.split()
    )


@given(
    params=st.dictionaries(
        st.text(min_size=1, max_size=6),
        st.lists(
            st.one_of(st.integers(-9, 9), st.floats(-1, 1), st.text(max_size=4), st.booleans()),
            min_size=1,
            max_size=3,
        ),
        min_size=1,
        max_size=3,
    ),
    end=st.sampled_from([None, "2020-01-01T00:00"]),
)
def test_a_trial_among_many_is_the_trial_by_itself(params, end) -> None:
    shared = {
        "strategy": {"name": "s", "sha256": "1"},
        "costs": {"taker_fee": 0.1},
        "account": None,
    }
    grid = Grid.of(params)
    places = grid.places(np.arange(len(grid)))
    kind = np.zeros(len(grid), dtype=int)
    block = TrialBlock(kinds=[shared], params=params, kind=kind, places=places)
    held = [{name: params[name][0] for name in params} | one for one in grid]
    alone = [digest(identity({**shared, "params": one}, end)) for one in held]
    if all(len({*map(repr, each)}) == len(each) for each in params.values()):
        ids = block.ids(end)
        assert [f"{each:016x}" for each in ids.tolist()] == alone
        assert line_ids(block.line(ids, {"at": "now"}, end)).tolist() == ids.tolist()


def test_a_large_sweep_takes_a_line_a_chunk_and_each_of_its_trials_counts_once(
    workspace, monkeypatch
) -> None:
    monkeypatch.setattr("delever.study.ledger.trial_blocks._FEWEST", 4)
    assert sweep(workspace, "grid", [*range(10, 60, 10)]).n_trials == 5
    [line] = dl.trials(workspace=workspace).frame.to_dict("records")
    assert (line["trials"], line["params"]["weeks"]) == (5, [10, 20, 30, 40, 50])
    run = dl.run(write(workspace, "one"), {"params.weeks": 30}, quick=True)
    assert run.manifest["n_trials"] == 5
    assert sweep(workspace, "wider", [*range(10, 90, 10)]).n_trials == 8
    assert sweep(workspace, "again", [20, 70]).n_trials == 8
    found = dl.trials(SAMPLE, workspace=workspace)
    assert found.frame["trials"].tolist() == [5, 3]
    assert found.markets["sweep"].tolist() == [8]
    assert "8 trials on 1 market" in found.headline
    fees = write(workspace, "fees", "[sweep.params]\nweeks = [20, 30]\n[sweep.costs]\n"
                 "taker_fee = [0.001, 0.002, 0.003]\n")  # fmt: skip
    assert dl.sweep(fees, workers=1, workspace=workspace).n_trials == 12
    last = dl.trials(workspace=workspace).frame.iloc[-1]
    assert (last["trials"], last["costs"]["taker_fee"]) == (4, [0.001, 0.002, 0.003])
    assert dl.run(fees, {"params.weeks": 20, "costs.taker_fee": 0.003}).manifest["n_trials"] == 12
    theirs = workspace.root.parent / "theirs"
    assert merge(theirs, workspace.trials) == 12
    assert merge(theirs, workspace.trials) == 0


def test_what_is_no_bars_has_no_trials(workspace) -> None:
    for bars in (pd.DataFrame({"close": [1.0]}), wandering(9).astype({"open": str})):
        with pytest.raises(InputError, match="data must be bars with open prices"):
            dl.trials(bars)


def test_the_command_explains_the_number(workspace, capsys) -> None:
    assert main(["trials"]) == 0
    assert "Nothing was ever tried here, or the ledger was deleted." in capsys.readouterr().out
    sweep(workspace, "one", [10, 12])
    assert main(["trials", SAMPLE, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["headline"].startswith("2 trials on 1 market since ")
    assert {one["params"]["weeks"] for one in said["trials"]} == {10, 12}
    assert main(["trials", SAMPLE]) == 0
    out = capsys.readouterr().out
    assert "sample/ohlcv/BTC/USD/1d: 2 since " in out
    assert str(workspace.trials) in out
    for file in workspace.trials.glob("*.jsonl"):
        file.unlink()
    assert dl.trials().frame.empty
    assert not (workspace.trials / MARKETS).is_file()

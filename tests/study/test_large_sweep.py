"""A sweep too large for memory says the same as a small one, of what it keeps at hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.errors import InputError, StoreError
from delever.report.figures.sweep_figures import density, heat_map
from delever.research.deflation import _grown, _haircut
from delever.stats.selection import effective_trials
from delever.study.sweeps import chosen as chosen_module
from delever.study.sweeps import study_sweep as sweep_module
from delever.study.sweeps import swept_columns

pytestmark = pytest.mark.drawn(False)

STUDY = """
strategy = "ma200w_break"
data = "sample/ohlcv/BTC/USD/1d"
end = 2017-01-01
[sweep.params]
weeks = { from = 10, to = 50, step = 2 }
when_below = ["flat", "short"]
"""


@pytest.fixture
def study(workspace):
    path = workspace.backtests / "grid.toml"
    path.write_text(STUDY)
    return path


def test_a_large_sweep_reads_columns_as_asked_and_judges_a_part(
    workspace, study, monkeypatch
) -> None:
    small = dl.sweep(study, workspace=workspace, workers=1)
    monkeypatch.setattr(swept_columns, "LARGE", 20)
    monkeypatch.setattr(chosen_module, "MOST_JUDGED", 30)
    monkeypatch.setattr(sweep_module, "_MOST", 10)
    large = dl.sweep(study, workspace=workspace, workers=1, fresh=True)
    assert len(list((large.folder / "chunks").glob("00004-*"))) == 1
    (large.folder / "chunks" / small_file(small)).unlink()
    shown = list(large.frame)
    assert "inside_calmar_ratio" in small.frame
    assert "inside_calmar_ratio" not in shown
    pd.testing.assert_frame_equal(large.frame, small.frame[shown])
    assert (large.terrain, large.axes) == (small.terrain, small.axes)
    assert large.deflation.among in (30, 31)
    assert any("30 combinations drawn at random" in note for note in large.notes)
    assert not any("drawn at random" in note for note in small.notes)
    again = dl.result(large.folder, workspace=workspace)
    names = ["params.weeks", "inside_calmar_ratio", "block_3_returns"]
    found = again.columns.read(names)
    assert found["inside_calmar_ratio"].equals(small.frame["inside_calmar_ratio"])
    rows = np.array([0, 9, 10, 35, 41])
    some = again.columns.read(names, rows)
    pd.testing.assert_frame_equal(some, found.iloc[rows].reset_index(drop=True))
    with pytest.raises(InputError, match="a column must be one of"):
        again.columns.read(["nothing"])
    for file in (large.folder / "chunks").iterdir():
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(StoreError, match="must be readable"):
        again.columns.read(names)


def small_file(sweep) -> str:
    """The chunk of a sweep that was cut in another way."""
    return next(
        file.name
        for file in sorted((sweep.folder / "chunks").iterdir())
        if len(pd.read_parquet(file, columns=["error"])) == len(sweep.frame)
    )


def test_many_values_are_joined_and_all_combinations_counted() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "a": np.repeat(np.arange(200), 100),
            "b": np.tile(np.arange(100) / 10.0, 200),
            "sharpe_ratio": rng.normal(size=20_000),
            "max_drawdown": -rng.random(20_000),
        }
    )
    drawn = heat_map(frame, "a", "b", "sharpe_ratio", "Sharpe", fraction=False).figure.data[0]
    assert np.shape(drawn.z) == (60, 60)
    assert (drawn.x[0], drawn.x[-1], drawn.y[0]) == ("0–2", "196–199", "0")
    first = frame[(frame["a"] <= 2) & (frame["b"] == 0.0)]["sharpe_ratio"].median()
    assert drawn.z[0][0] == pytest.approx(first)
    counted = density(frame, ("sharpe_ratio", "S"), ("max_drawdown", "D")).figure.data[0]
    assert int(np.sum(counted.customdata)) == 20_000


@pytest.mark.parametrize("moved", [0.05, 3.0])
def test_a_part_tells_how_many_trials_the_whole_is_worth(moved) -> None:
    # From rules that are nearly one to rules that share little.
    rng = np.random.default_rng(2)
    shared = rng.normal(size=(40, 16))
    blocks = shared[rng.integers(0, 40, 4_000)] + moved * rng.normal(size=(4_000, 16))
    whole = effective_trials(blocks)
    part = blocks[np.sort(rng.choice(4_000, 500, replace=False))]
    own = effective_trials(part)
    assert own * _grown(part, own, 4_000) == pytest.approx(whole, rel=0.35)


def test_the_haircut_knows_any_number_of_trials() -> None:
    few, many = (_haircut(0.05, 3_000, made, 0.5, 0.0, 365.0) for made in (5_000, 50_000))
    assert 0.0 <= many <= few < 0.05 * 365**0.5

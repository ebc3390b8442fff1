"""The figures printed in docs/periods.md are those of the shipped catalogue and detector."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from delever.deleveraging.detect import Detector, detect
from delever.deleveraging.overlap import overlap
from delever.deleveraging.period import Period, load_catalog
from delever.signals.volatility import fall_speed

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "periods.md").read_text(encoding="utf-8")
PERIODS = load_catalog(ROOT / "data" / "deleveraging.toml")
CLOSE = pd.read_csv(ROOT / "data/sample/btc_usd_1d.csv", index_col=0, parse_dates=True)["close"]


def table(heading: str) -> list[list[str]]:
    """Rows of the table whose heading row begins so."""
    _, after = PAGE.split(f"\n| {heading} |")
    rows = []
    for line in after.splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def billions(value: float) -> str:
    return f"{value / 1e9:.2f}".rstrip("0").rstrip(".")


def reported(period: Period) -> str:
    totals = [f.value for f in period.figures if f.name == "forced liquidations"]
    return f"{billions(min(totals))} to {billions(max(totals))}" if totals else "none found"


def test_the_table_of_periods_is_the_catalogue() -> None:
    rows = table("period | start | trough | end")
    expected = []
    for period in PERIODS:
        (fall,) = (f.value for f in period.figures if f.name == "fall of the close")
        days = (period.start, period.trough, period.end - pd.Timedelta(days=1))
        expected.append(
            [period.id, *(f"{day:%Y-%m-%d}" for day in days), f"{fall:.1%}".replace("%", " %")]
        )
    assert [row[:5] for row in rows] == expected
    assert [row[5] for row in rows] == [reported(period) for period in PERIODS]


def test_the_measured_overlap_is_what_a_run_gives() -> None:
    report = overlap(detect(CLOSE), PERIODS, "1d")
    expected = []
    for name, row in report.periods.iterrows():
        lags = ["" if math.isnan(row[lag]) else f"{row[lag]:.0f}" for lag in ("lag", "lag_trough")]
        found = "yes" if row["detected"] else "no"
        expected.append([str(name), str(row["bars"]), found, *lags, f"{row['covered']:.0%}"])
    rows = table("period | bars | detected")
    assert [[*row[:5], row[5].replace(" ", "")] for row in rows] == expected
    speed = fall_speed(CLOSE, fall_bars=7, volatility_bars=90).dropna()
    assert f"{(speed < -3).mean():.1%}".replace("%", " %") + " of days do" in PAGE


def test_the_table_of_thresholds_is_what_runs_give() -> None:
    for enter, found, precision, recall, alarms, false_alarms in table("enter"):
        report = overlap(detect(CLOSE, Detector(enter=float(enter))), PERIODS, "1d")
        hits = report.periods["detected"]
        assert found == f"{hits.sum()} of {len(hits)}"
        assert precision == f"{report.bar_precision:.0%}".replace("%", " %")
        assert recall == f"{report.bar_recall:.0%}".replace("%", " %")
        assert (int(alarms), int(false_alarms)) == (report.alarms, report.false_alarms)

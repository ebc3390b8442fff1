from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from delever.deleveraging.period import Period, PeriodFigure, load_catalog
from delever.errors import ConfigError

ROOT = Path(__file__).parents[2]
REAL = ROOT / "data" / "deleveraging.toml"

ONE = """
[[periods]]
id = "a"
title = "First"
start = 2020-03-07
trough = 2020-03-12
end = 2020-03-19
cause = "Covid."
"""
TWO = """
[[periods]]
id = "b"
title = "Second"
start = 2021-05-09
trough = 2021-05-29
end = 2021-06-05
cause = "China."
figures = [
  { name = "sold", value = 8, unit = "USD", definition = "d", source = "X", as_of = 2021-05-20 },
  { name = "sold", value = 9.5, unit = "USD", definition = "d", source = "Y" },
]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "periods.toml"
    path.write_text(text, encoding="utf-8")
    return path


def stamp(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def test_the_end_day_belongs_to_its_period(tmp_path: Path) -> None:
    (period,) = load_catalog(write(tmp_path, ONE))
    assert period == Period(
        id="a",
        title="First",
        start=stamp("2020-03-07"),
        trough=stamp("2020-03-12"),
        end=stamp("2020-03-20"),
        cause="Covid.",
    )
    assert {time.unit for time in (period.start, period.trough, period.end)} == {"ns"}


def test_periods_come_in_order_of_time_with_figures_that_disagree_kept(tmp_path: Path) -> None:
    first, second = load_catalog(write(tmp_path, TWO + ONE))
    assert (first.id, second.id) == ("a", "b")
    shared = {"name": "sold", "unit": "USD", "definition": "d"}
    assert second.figures == (
        PeriodFigure(value=8.0, source="X", as_of=stamp("2021-05-20"), **shared),
        PeriodFigure(value=9.5, source="Y", **shared),
    )
    assert isinstance(second.figures[0].value, float)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ONE.replace("cause", "reason"), r"'a' has the unknown key 'reason'.*known are.*cause"),
        (ONE + "extra = 1", "'a' has the unknown key 'extra'"),
        ("note = 1\n" + ONE, "the file has the unknown key 'note'"),
        (ONE.replace('cause = "Covid."', ""), "'a' needs cause"),
        (ONE.replace('id = "a"', ""), "period number 1 needs id"),
        (ONE.replace('"Covid."', '" "'), "cause of period 'a' must be a text that is not empty"),
        (ONE.replace("= 2020-03-19", '= "2020-03-19"'), "end of period 'a' must be a date"),
        (ONE.replace("2020-03-19", "2020-03-19T00:00:00Z"), "end of period 'a' must be a date"),
        (ONE.replace("2020-03-19", "2020-03-11"), "start <= trough <= end; got 2020-03-07, 2020"),
        (ONE.replace("2020-03-12", "2020-03-06"), "'a' must have start <= trough <= end"),
        (ONE.replace("2020-03-12", "2020-03-20"), "'a' must have start <= trough <= end"),
        (ONE + ONE, "every id must be unique; 'a' repeats"),
        (ONE + ONE.replace('"a"', '"c"'), "'c' starts on 2020-03-07 and 'a' ends on 2020-03-19"),
        (ONE + TWO.replace('source = "Y"', 'from = "Y"'), "figure number 2 of period 'b' has the"),
        (ONE + TWO.replace("9.5", "nan"), "value of figure number 2 .* must be a finite number"),
        (ONE + TWO.replace("9.5", "true"), "value of figure number 2 .* must be a finite number"),
        (ONE + TWO.replace("9.5", "inf"), "value of figure number 2 .* must be a finite number"),
        ('[[periods]]\nid = "a"\nfigures = 3', "needs title, start, trough, end, cause"),
        (ONE + "figures = 3", "figures of period 'a' must be an array of tables"),
        (ONE + "figures = [3]", "figure number 1 of period 'a' must be a table; got 3"),
        ("periods = [3]", "period number 1 must be a table; got 3"),
        ("periods = []", "at least one period is required"),
        ("", "the file needs periods"),
        ("periods = [", "must be TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=says) as caught:
        load_catalog(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_neighbours_may_touch(tmp_path: Path) -> None:
    after = ONE.replace('"a"', '"c"').replace("-03-07", "-03-20").replace("-03-12", "-03-20")
    first, second = load_catalog(write(tmp_path, ONE + after.replace("-03-19", "-03-20")))
    assert first.end == second.start
    assert second.end - second.start == pd.Timedelta(days=1)


def test_a_changed_file_is_noticed_though_its_size_and_time_are_not(tmp_path: Path) -> None:
    path = write(tmp_path, ONE)
    known, (first,) = path.stat(), load_catalog(path)
    write(tmp_path, ONE.replace("First", "Later"))
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    (changed,) = load_catalog(path)
    assert (first.title, changed.title) == ("First", "Later")
    path.unlink()
    with pytest.raises(ConfigError, match="there is none"):
        load_catalog(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is none"):
        load_catalog(tmp_path / "none.toml")


def test_the_shipped_catalogue_covers_the_known_episodes() -> None:
    periods = load_catalog(REAL)
    days = [
        "2013-04-11", "2013-12-07", "2018-01-16", "2018-11-20", "2020-03-12", "2021-05-19",
        "2021-12-04", "2022-05-11", "2022-06-14", "2022-11-09", "2024-08-05", "2025-10-10",
        "2026-01-31", "2026-02-05",
    ]  # fmt: skip
    for day in days:
        assert any(period.start <= stamp(day) < period.end for period in periods), day


def test_every_shipped_figure_is_sourced_and_reported_after_its_period_began() -> None:
    for period in load_catalog(REAL):
        assert len(period.figures) >= 2, period.id
        assert any("computed" in figure.source for figure in period.figures), period.id
        for figure in period.figures:
            assert figure.as_of is None or figure.as_of >= period.start, (period.id, figure)

"""The table of metrics: its names, its values for a run, its scopes and its page."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import empyrical
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError
from delever.stats.metrics import (
    EVERYWHERE,
    METRICS,
    REGISTRY,
    Sample,
    compute,
    compute_scopes,
    find,
    methods_table,
    metric,
    metric_of,
    register,
)
from delever.stats.performance import sharpe_ratio
from delever.stats.risk import value_at_risk
from delever.units import timeframe_delta

ROOT = Path(__file__).parents[2]
BARS = 200
COUNTS = {"bars", "trades"}
COMPARED = {"up_capture", "down_capture", "loss_avoided", "cost_of_protection"}


def values_of(sample: Sample) -> pd.Series:
    """Every metric, each in a scope it is defined in."""
    parts = [
        compute(sample, [entry], scope="whole" if "whole" in entry.scopes else entry.scopes[0])
        for entry in METRICS
    ]
    return pd.concat(parts)


def make_sample(
    returns: np.ndarray | list[float],
    benchmark: np.ndarray | list[float],
    timeframe: str = "1d",
) -> Sample:
    """A run with a trade of each kind: won, lost, liquidated, open."""
    step = timeframe_delta(timeframe)
    index = pd.DatetimeIndex(
        pd.Timestamp("2021-01-01", tz="UTC") + step * np.arange(len(returns)), name="open_time"
    ).as_unit("ns")
    exits = [index[2], index[len(index) // 2], index[-1] + pd.Timedelta(hours=3), pd.NaT]
    trades = pd.DataFrame(
        {
            "exit_time": pd.DatetimeIndex(exits),
            "net_pnl": [30.0, -20.0, -10.0, 1_000.0],
            "status": ["closed", "closed", "liquidated", "open"],
        }
    )
    steps = np.arange(len(index))
    return Sample(
        returns=pd.Series(returns, index=index, dtype=float),
        benchmark=pd.Series(benchmark, index=index, dtype=float),
        exposure=pd.Series(np.where(steps % 4 == 0, 0.0, -0.5), index=index),
        turnover=pd.Series(np.where(steps % 10 == 0, 1.0, 0.0), index=index),
        trades=trades,
        timeframe=timeframe,
    )


@pytest.fixture(scope="module")
def sample() -> Sample:
    rng = np.random.default_rng(21)
    market = rng.standard_t(4, BARS) * 0.03
    return make_sample(0.5 * market + rng.normal(0.0, 0.005, BARS), market)


def test_a_run_equals_empyrical(sample: Sample) -> None:
    values, returns, benchmark = values_of(sample), sample.returns, sample.benchmark
    expected = {
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": empyrical.annual_return(returns, annualization=365),
        "volatility": empyrical.annual_volatility(returns, annualization=365),
        "downside_deviation": empyrical.downside_risk(returns, annualization=365),
        "sharpe_ratio": empyrical.sharpe_ratio(returns, annualization=365),
        "sortino_ratio": empyrical.sortino_ratio(returns, annualization=365),
        "calmar_ratio": empyrical.calmar_ratio(returns, annualization=365),
        "max_drawdown": empyrical.max_drawdown(returns),
        "value_at_risk": empyrical.value_at_risk(returns),
        "expected_shortfall": empyrical.conditional_value_at_risk(returns),
        "skew": scipy.stats.skew(returns),
        "kurtosis": scipy.stats.kurtosis(returns, fisher=False),
        "up_capture": empyrical.up_capture(returns, benchmark, period="yearly"),
        "down_capture": empyrical.down_capture(returns, benchmark, period="yearly"),
        "loss_avoided": empyrical.cum_returns_final(returns)
        - empyrical.cum_returns_final(benchmark),
        "cost_of_protection": empyrical.annual_return(benchmark, annualization=365)
        - empyrical.annual_return(returns, annualization=365),
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-9), name


def test_real_history_equals_empyrical() -> None:
    close = pd.read_csv(ROOT / "data/sample/btc_usd_1d.csv", index_col=0)["close"]
    returns = close.pct_change().iloc[1:].to_numpy()
    held = make_sample(returns, returns)
    values = compute(held)
    assert values["total_return"] == pytest.approx(close.iloc[-1] / close.iloc[0] - 1, rel=1e-9)
    assert values["max_drawdown"] == pytest.approx(float((close / close.cummax() - 1).min()))
    for name, function in (
        ("sharpe_ratio", empyrical.sharpe_ratio),
        ("sortino_ratio", empyrical.sortino_ratio),
        ("calmar_ratio", empyrical.calmar_ratio),
    ):
        expected = function(held.returns, annualization=365)
        assert values[name] == pytest.approx(expected, rel=1e-9), name


def test_by_hand() -> None:
    #            equity 1.0  0.8  0.8  1.2  0.9  0.9;  buy and hold 0.5 0.5 1.0 1.0 1.0
    sample = make_sample([-0.2, 0.0, 0.5, -0.25, 0.0], [-0.5, 0.0, 1.0, 0.0, 0.0], "12h")
    values = values_of(sample)
    expected = {
        "bars": 5,
        "total_return": -0.1,
        "max_drawdown": -0.25,
        "max_drawdown_length": 1.0,  # two bars of half a day, not recovered
        "time_to_recover": math.nan,
        "longest_drawdown": 1.5,  # the first three bars
        "worst_bar": -0.25,
        "best_bar": 0.5,
        "exposure": 0.3,  # -0.5 on three bars of five
        "time_in_market": 0.6,
        "turnover": 146.0,  # once in five bars of 730 a year
        "trades": 3,
        "hit_rate": 1 / 3,
        "profit_factor": 1.0,
        "up_capture": 0.5,
        "down_capture": 0.4,
        "loss_avoided": -0.1,
    }
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, nan_ok=True), name


def test_times_are_days_whatever_the_bar() -> None:
    # Half-day bars: down at the first, deeper at the second, back at the peak at the fifth.
    sample = make_sample([-0.2, -0.5, 0.25, 0.6, 0.25, 0.0], [0.0] * 6, "12h")
    values = compute(sample)
    assert values["max_drawdown"] == pytest.approx(-0.6)
    assert values["max_drawdown_length"] == 2.5
    assert values["time_to_recover"] == 1.5
    assert values["longest_drawdown"] == 2.5


def test_without_a_benchmark_comparisons_are_undefined(sample: Sample) -> None:
    values = values_of(dataclasses.replace(sample, benchmark=None))
    assert set(values.index[values.isna()]) == COMPARED
    assert {entry.name for entry in METRICS if entry.against_benchmark} == COMPARED


def test_the_benchmark_beside_itself(sample: Sample) -> None:
    assert sample.benchmark is not None
    values = values_of(dataclasses.replace(sample, returns=sample.benchmark))
    assert (values["up_capture"], values["down_capture"]) == (1.0, 1.0)
    assert (values["loss_avoided"], values["cost_of_protection"]) == (0.0, 0.0)


def test_names_are_chosen_and_ordered(sample: Sample) -> None:
    assert compute(sample).index.tolist() == list(REGISTRY)
    chosen = compute(sample, [sharpe_ratio, REGISTRY["bars"]])
    assert chosen.index.tolist() == ["sharpe_ratio", "bars"]
    assert chosen.dtype == np.float64
    some = (REGISTRY[name] for name in ("bars", "cagr"))
    table = compute_scopes(sample, {"whole": np.ones(BARS, bool)}, some)
    assert table.index.tolist() == ["bars", "cagr"]


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"total_return.*cost_of_protection; got 'sharp'"):
        find("sharp")
    assert find("cagr") is REGISTRY["cagr"]


def test_names_and_labels_do_not_collide() -> None:
    bars = REGISTRY["bars"]
    assert list(register([sharpe_ratio, bars])) == list(REGISTRY)
    with pytest.raises(InputError, match="'cagr' is taken by 'CAGR'"):
        register([dataclasses.replace(bars, name="cagr")])
    with pytest.raises(InputError, match="label of its own; 'CAGR'"):
        register([dataclasses.replace(bars, name="count", label="CAGR")])


def test_the_registry_is_read_only() -> None:
    with pytest.raises(TypeError):
        REGISTRY["cagr"] = REGISTRY["bars"]  # type: ignore[index]


ROW: dict[str, Any] = {
    "label": "Own", "unit": "fraction", "better": "higher", "formula": "f", "source": "here",
}  # fmt: skip


def test_a_new_metric_is_one_function(sample: Sample) -> None:
    @metric(**ROW)
    def median(returns: pd.Series) -> float:
        """Median return of a bar."""
        return float(returns.median())

    @metric(**{**ROW, "label": None}, name="liquidated", scopes=("whole",))
    def count_liquidated(sample: Sample, least: int = 0) -> float:
        return max(least, int((sample.trades["status"] == "liquidated").sum()))

    table = register([median, count_liquidated])
    assert list(table) == [*REGISTRY, "median", "liquidated"]
    assert "median" not in REGISTRY
    assert (table["median"].label, table["liquidated"].label) == ("Own", "Liquidated")
    assert median(sample.returns) == pytest.approx(np.median(sample.returns))
    everywhere = {"whole": np.ones(BARS, bool), "inside": np.arange(BARS) > 7}
    values = compute_scopes(sample, everywhere, table.values())
    assert values.loc["median", "whole"] == pytest.approx(np.median(sample.returns))
    assert values.loc["median", "inside"] == pytest.approx(np.median(sample.returns.iloc[8:]))
    assert values.loc["liquidated", "whole"] == 1.0
    with pytest.raises(InputError, match=r"median: returns must be a pandas.Series; got 'abc'"):
        median("abc")  # type: ignore[arg-type]
    assert math.isnan(values.loc["liquidated", "inside"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Two words"}, "lower-case identifier .* got 'Two words'"),
        ({"name": "inside_cagr"}, "does not begin with inside_"),
        ({"unit": "percent"}, "metric own: unit must be of fraction, .* got 'percent'"),
        ({"better": "more"}, "better must be of higher, lower, None; got 'more'"),
        ({"scopes": ("inside", "in")}, "scopes must be of whole, .* got 'in'"),
        ({"scopes": ()}, "got 'none'"),
        ({"label": ""}, "label must be one line of text"),
        ({"formula": "a | b"}, "formula must be one line of text without"),
    ],
)
def test_a_row_that_says_nonsense_is_refused(changes: dict[str, Any], message: str) -> None:
    def own(returns: pd.Series) -> float:
        return 0.0

    with pytest.raises(InputError, match=message):
        metric(**{**ROW, **changes})(own)


def test_what_is_no_metric_is_refused(sample: Sample) -> None:
    with pytest.raises(InputError, match=r"@metric\(.* got len"):
        register([len])
    with pytest.raises(InputError, match="got 'cagr'"):
        compute(sample, ["cagr"])  # type: ignore[list-item]

    def greedy(returns: pd.Series, prices: pd.Series) -> float:
        return 0.0

    with pytest.raises(InputError, match=r"parameter must be one of returns, .* got prices"):
        metric(**ROW)(greedy)

    @metric(**ROW)
    def wordy(returns: pd.Series) -> float:
        return "high"  # type: ignore[return-value]

    with pytest.raises(InputError, match="wordy must give a number; got str"):
        compute(sample, [wordy])


def test_a_function_says_what_its_row_says() -> None:
    entry = metric_of(sharpe_ratio)
    assert entry is REGISTRY["sharpe_ratio"]
    doc = str(sharpe_ratio.__doc__)
    said = ["Yearly mean", "Parameters", "returns : array_like", "periods_per_year : float",
            "Returns", entry.unit, "Notes", entry.formula, entry.source, "Examples"]  # fmt: skip
    places = [doc.index(part) for part in said]
    assert places == sorted(places)
    assert str(metric_of(value_at_risk).compute.__doc__).count("Parameters") == 1


def test_a_metric_is_nowhere_outside_its_scopes(sample: Sample) -> None:
    parts = {name: np.arange(BARS) % 2 == 0 for name in EVERYWHERE}
    table = compute_scopes(sample, parts)
    for entry in METRICS:
        defined = [scope for scope in EVERYWHERE if not math.isnan(table.loc[entry.name, scope])]
        assert defined in ([], list(entry.scopes)), entry.name
    assert REGISTRY["loss_avoided"].scopes == ("inside", "period")
    assert REGISTRY["cost_of_protection"].scopes == ("outside",)
    named = compute_scopes(sample, {"fall": parts["whole"]}, scopes={"fall": "phase"})
    assert math.isnan(named.loc["loss_avoided", "fall"])


def test_every_row_says_what_it_is() -> None:
    for name, entry in REGISTRY.items():
        assert entry.name == name


def test_whole_scope_is_the_run(sample: Sample) -> None:
    table = compute_scopes(sample, {"whole": np.ones(BARS, bool)})
    pd.testing.assert_series_equal(table["whole"], compute(sample), check_names=False)


def test_a_scope_is_a_run_of_its_bars(sample: Sample) -> None:
    inside = np.zeros(BARS, bool)
    inside[40:60] = inside[150:] = True
    column = compute_scopes(sample, {"inside": inside})["inside"]
    joined = sample.returns[inside].reset_index(drop=True)
    assert column["bars"] == 70
    assert column["total_return"] == pytest.approx(empyrical.cum_returns_final(joined))
    assert column["max_drawdown"] == pytest.approx(empyrical.max_drawdown(joined))
    expected = empyrical.sharpe_ratio(joined, annualization=365)
    assert column["sharpe_ratio"] == pytest.approx(expected, rel=1e-9)
    assert column["turnover"] == pytest.approx(365 * 7 / 70)


def test_a_trade_belongs_to_the_bar_it_ended_on(sample: Sample) -> None:
    at = np.arange(BARS)
    scopes = {"early": at <= 2, "late": at > 2, "last": at == BARS - 1, "first": at == 0}
    table = compute_scopes(sample, scopes)
    assert table.loc["trades"].to_dict() == {"early": 1, "late": 2, "last": 1, "first": 0}
    assert table.loc["hit_rate", ["early", "late"]].tolist() == [1.0, 0.0]
    assert math.isnan(table.loc["hit_rate", "first"])


def test_an_empty_scope_has_only_its_counts(sample: Sample) -> None:
    column = compute_scopes(sample, {"none": np.zeros(BARS, bool)})["none"]
    assert set(column.index[column.notna()]) == COUNTS
    assert (column[list(COUNTS)] == 0.0).all()


def test_a_scope_of_one_bar(sample: Sample) -> None:
    only = np.arange(BARS) == 7
    column = compute_scopes(sample, {"one": only})["one"]
    bar = sample.returns.iloc[7]
    for name in ("total_return", "worst_bar", "best_bar", "value_at_risk", "expected_shortfall"):
        assert column[name] == pytest.approx(bar), name
    for name in ("volatility", "sharpe_ratio", "sortino_ratio", "skew", "kurtosis"):
        assert math.isnan(column[name]), name


@settings(max_examples=40)
@given(st.lists(st.booleans(), min_size=BARS, max_size=BARS))
def test_inside_and_outside_make_the_whole(sample: Sample, mask: list[bool]) -> None:
    inside = np.array(mask)
    scopes = {"whole": np.ones(BARS, bool), "inside": inside, "outside": ~inside}
    names = ["bars", "total_return", "trades", "turnover", "exposure", "worst_bar"]
    table = compute_scopes(sample, scopes, [REGISTRY[name] for name in names])
    parts, whole = table[["inside", "outside"]], table["whole"]
    assert np.prod(1 + parts.loc["total_return"].fillna(0.0)) == pytest.approx(
        1 + whole["total_return"], rel=1e-12
    )
    assert parts.loc["bars"].sum() == whole["bars"]
    assert parts.loc["trades"].sum() == whole["trades"]
    for name in ("turnover", "exposure"):
        weighted = (parts.loc[name] * parts.loc["bars"]).sum() / BARS
        assert weighted == pytest.approx(whole[name])
    assert parts.loc["worst_bar"].min() == whole["worst_bar"]


def test_the_page_of_methods_is_the_registry() -> None:
    page = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    _, rest = page.split("<!-- metrics: begin -->\n")
    table, sources = rest.split("<!-- metrics: end -->\n")
    assert table == methods_table(), "print it anew as docs/methods.md says"
    for entry in REGISTRY.values():
        author = entry.source.split(",")[0].split()[0]
        assert author in sources or entry.source.startswith(("by definition", "definition of"))


def test_the_pages_own_metrics_run(sample: Sample) -> None:
    page = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.S):
        exec(block, names)
    own = [names["ulcer_index"], names["return_per_bar_held"]]
    values = compute(sample, own)
    assert 0.0 < values["ulcer_index"] < 1.0
    held = (sample.exposure != 0).sum()
    assert values["return_per_bar_held"] == pytest.approx(sample.returns.sum() / held)

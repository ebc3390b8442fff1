"""Choosing on part of the time: against plain arithmetic on bars, and blind to what is left out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.deleveraging.period import Period
from delever.research.choosing import Choosing, Parts, Tried, choosing

DAYS = pd.date_range("2015-01-01", periods=2_000, tz="UTC")
PAUSE = pd.Timedelta(days=30)


def period(number: int, first: int, days: int) -> Period:
    start, end = DAYS[first], DAYS[first + days]
    return Period(id=f"p{number}", title=f"Fall {number}", start=start, trough=end, end=end)


PERIODS = tuple(
    period(n, first, 20 + 5 * n) for n, first in enumerate((90, 400, 455, 1_000, 1_700))
)


def tried(returns: np.ndarray, held: np.ndarray, begins: np.ndarray) -> Tried:
    """Of returns of shape (combinations, bars), 0 before each begins."""
    parts = Parts.of(DAYS, "1d", 0, PERIODS)

    def sums(one: np.ndarray) -> np.ndarray:
        return np.array(
            [
                [own.sum(), (own**2).sum(), np.log1p(own).sum(), 0.0]
                for own in (one[first:last] for first, last in parts.rows.values())
            ]
        )

    return Tried(
        parts=parts,
        sums=np.array([sums(one) for one in returns]),
        begins=begins,
        benchmark=sums(held),
        periods_per_year=365.0,
    )


def drawn(seed: int, many: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0003, 0.02, size=(many, len(DAYS)))
    begins = np.where(rng.random(many) < 0.3, rng.integers(0, 900, many), 0)
    begins[0] = 0
    returns[np.arange(len(DAYS)) < begins[:, None]] = 0.0
    return returns, rng.normal(0.0, 0.03, len(DAYS)), begins


def ratio(values: np.ndarray) -> float:
    return values.mean() / values.std(ddof=1)


@pytest.mark.few(8)
@given(st.integers(0, 10_000))
def test_every_period_left_out_is_that_of_the_bars(seed):
    returns, held, begins = drawn(seed)
    found = choosing(tried(returns, held, begins)).periods
    for one in PERIODS:
        near = (one.start - PAUSE <= DAYS) & (one.end + PAUSE > DAYS)
        inside = (one.start <= DAYS) & (one.end > DAYS)
        there = begins <= np.flatnonzero(inside)[0]
        began = np.arange(len(DAYS)) >= begins[:, None]
        ratios = [ratio(own[~near & began[n]]) for n, own in enumerate(returns)]
        others = [p for p in PERIODS if p.end <= one.start - PAUSE or p.start >= one.end + PAUSE]
        payouts = np.full(len(returns), np.nan)
        for n, own in enumerate(returns):
            paid = [
                (np.log1p(own) - np.log1p(held))[(p.start <= DAYS) & (p.end > DAYS)].sum()
                for p in others
                if DAYS[begins[n]] <= p.start
            ]
            payouts[n] = np.mean(paid) if paid else np.nan
        saved = np.expm1(np.log1p(returns[:, inside]).sum(axis=1)) - np.expm1(
            np.log1p(held[inside]).sum()
        )
        for by, values in (("sharpe_ratio", np.array(ratios)), ("payout", payouts)):
            row = found[(found["id"] == one.id) & (found["by"] == by)].iloc[0]
            best = int(np.nanargmax(np.where(there, values, np.nan)))
            assert row["chosen"] == best
            assert row["points_saved"] == pytest.approx(saved[best], abs=1e-9)
            assert row["middle"] == pytest.approx(np.median(saved[there]), abs=1e-9)
            assert row["rank"] == pytest.approx((saved[there] <= saved[best] + 1e-12).mean())


@pytest.mark.few(6)
@given(st.integers(0, 10_000), st.integers(0, len(PERIODS) - 1))
def test_what_is_left_out_has_no_say(seed, place):
    returns, held, begins = drawn(seed)
    before = choosing(tried(returns, held, begins)).periods
    one = PERIODS[place]
    near = (one.start - PAUSE <= DAYS) & (one.end + PAUSE > DAYS)
    changed = returns.copy()
    changed[:, near] = np.random.default_rng(seed + 1).normal(
        0.01, 0.05, (len(returns), near.sum())
    )
    changed[np.arange(len(DAYS)) < begins[:, None]] = 0.0
    after = choosing(tried(changed, held, begins)).periods
    own = before["id"] == one.id
    pd.testing.assert_series_equal(before["chosen"][own], after["chosen"][own])


def test_ruin_has_no_say_in_the_period_that_is_left_out():
    returns, held, begins = drawn(5)
    begins[:] = 0
    before = choosing(tried(returns, held, begins)).periods
    one = PERIODS[1]
    day = int(np.flatnonzero((one.start <= DAYS) & (one.end > DAYS))[0])
    best = before.loc[(before["id"] == one.id) & (before["by"] == "payout"), "chosen"].item()
    ruined = returns.copy()
    ruined[best, day] = -1.0
    with np.errstate(divide="ignore"):
        after = choosing(tried(ruined, held, begins)).periods
    own = (before["id"] == one.id) & (before["by"] == "payout")
    assert after["chosen"][own].item() == best
    assert best not in after["chosen"][~own & (after["by"] == "payout")].tolist()


def test_quarters_and_histories_are_chosen_on_the_rest():
    returns, held, begins = drawn(3)
    begins[:] = 0
    returns = drawn(3)[0]
    found = choosing(tried(returns, held, begins))
    ends = np.linspace(0, len(DAYS), 17).round().astype(int)
    groups = [np.arange(ends[2 * g], ends[2 * g + 2]) for g in range(8)]

    def train(rows: np.ndarray) -> np.ndarray:
        """Without rows and thirty days beside each stretch of them."""
        near = np.zeros(len(DAYS), dtype=bool)
        for row in (rows[0], *rows[np.flatnonzero(np.diff(rows) > 1) + 1]):
            near[max(row - 30, 0) : row] = True
        for row in (*rows[np.flatnonzero(np.diff(rows) > 1)], rows[-1]):
            near[row + 1 : row + 31] = True
        near[rows] = True
        return ~near

    for row, era in zip(found.eras.itertuples(), range(4), strict=True):
        rows = np.arange(ends[4 * era], ends[4 * era + 4])
        best = int(np.argmax([ratio(own[train(rows)]) for own in returns]))
        assert row.chosen == best
        assert row.sharpe_ratio == pytest.approx(ratio(returns[best][rows]) * 365**0.5)
        assert row.start == DAYS[rows[0]]
        assert row.end == DAYS[rows[-1]]
    chosen: list[list[int]] = [[] for _ in range(8)]
    for left in combinations(range(8), 2):
        rows = np.concatenate([groups[g] for g in left])
        best = int(np.argmax([ratio(own[train(rows)]) for own in returns]))
        for g in left:
            chosen[g].append(best)
    assert len(found.paths) == 7
    for n, path in found.paths.iterrows():
        own = np.concatenate([returns[chosen[g][n], groups[g]] for g in range(8)])
        assert path["sharpe_ratio"] == pytest.approx(ratio(own) * 365**0.5)
        assert path["growth"] == pytest.approx(np.log1p(own).sum())
        paid = []
        for one in PERIODS:
            rows = np.flatnonzero((one.start <= DAYS) & (one.end > DAYS))
            for g in range(8):
                if np.isin(rows, groups[g]).all():
                    made = returns[chosen[g][n]]
                    paid.append((np.log1p(made) - np.log1p(held))[rows].sum())
        assert paid
        assert path["payout"] == pytest.approx(np.mean(paid))


def test_one_good_rule_among_many_is_found_in_every_period():
    returns, held, _ = drawn(5, many=30)
    returns = np.random.default_rng(1).normal(0.0, 0.02, returns.shape)
    returns[7] += 0.004
    for one in PERIODS:
        returns[7, (one.start <= DAYS) & (one.end > DAYS)] += 0.01
    found = choosing(tried(returns, held, np.zeros(30, dtype=int)))
    assert (found.periods["chosen"] == 7).all()
    assert found.overfitting is not None
    assert found.overfitting.probability < 0.01
    assert found.gained["payout"].p_value <= 0.01
    assert (found.paths["sharpe_ratio"] > 2.0).all()


def test_too_little_to_choose_on_says_nothing():
    returns, held, begins = drawn(2)
    alone = choosing(tried(returns[:1], held, begins[:1]))
    assert alone.overfitting is None
    assert alone.periods.empty
    assert isinstance(alone, Choosing)

"""What would have been found: effects planted into prices, and how often the test finds them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from delever.research.null_markets import simulate_bars
from delever.research.signal.level_break import Signal
from delever.research.signal.level_rules import RULES
from delever.research.signal.planted import plant
from delever.research.signal.study import StudyDesign, study_signal
from delever.view import MarketView

DESIGN = StudyDesign(horizons=(10,), decides=10, draws=60)


def market(seed, bars=1_500):
    return MarketView(bars=simulate_bars(bars, seed=seed), timeframe="1d", symbol="A")


def own_events(seen, rows):
    event = pd.Series(False, index=seen.index)
    event.iloc[rows] = True
    return Signal(market=seen, event=event, known=pd.Series(True, index=seen.index))


def test_prices_move_by_the_effect_over_the_holding_period():
    seen = market(1, 200)
    moved, logs = plant(own_events(seen, [50, 55, 120]), 0.10, 10)
    ratio = (moved.market.bars / seen.bars)[["open", "high", "low", "close"]]
    assert ratio.iloc[:51].to_numpy() == pytest.approx(1.0)
    # The event of bar 55 lies in the holding period of that of bar 50 and adds nothing.
    assert ratio["close"].iloc[60:121].to_numpy() == pytest.approx(1.1)
    assert ratio["close"].iloc[130:].to_numpy() == pytest.approx(1.21)
    assert ratio["close"].iloc[55] == pytest.approx(1.1**0.5)
    assert ratio["open"].iloc[1:].to_numpy() == pytest.approx(ratio["close"].iloc[:-1].to_numpy())
    assert logs[-1] == pytest.approx(2 * math.log(1.1))


def test_the_rule_runs_again_on_the_moved_prices_and_nothing_before_an_event_changes():
    signal = RULES["rolling_low"](weeks=6).on(market(2, 600))
    first = int(np.flatnonzero(signal.event)[0])
    for effect in (0.3, -0.3):
        moved, logs = plant(signal, effect, 10)
        assert not logs[: first + 1].any()
        assert logs[first + 10] == pytest.approx(math.log1p(effect))
        again = RULES["rolling_low"](weeks=6).on(moved.market)
        assert again.event.equals(moved.event)
    assert plant(signal, -0.3, 10)[0].event.sum() > plant(signal, 0.3, 10)[0].event.sum()


def test_without_events_nothing_moves():
    signal = own_events(market(3, 100), [])
    moved, logs = plant(signal, 0.2, 10)
    assert moved is signal
    assert not logs.any()


def test_the_smallest_effect_is_found_as_often_as_is_said(draws):
    """Planted into prices and studied anew: smaller and larger effects as well."""
    counted = []
    for seed in range(draws(6, 40)):
        watched = RULES["rolling_low"](weeks=10).on(market(100 + seed))
        study = study_signal([watched], name="x", design=DESIGN)
        direction, sign = ("rise", 1) if seed % 2 else ("fall", -1)
        for multiple in (0.5, 1.0, 1.5):
            effect, said = study.power.loc[(direction, multiple)]
            moved, _ = plant(watched, sign * effect, 10)
            again = study_signal([moved], name="x", design=DESIGN, calibrated=False)
            counted.append((multiple, said, again.rejects))
    frame = pd.DataFrame(counted, columns=["multiple", "said", "found"])
    means = frame.groupby("multiple").mean()
    assert means["said"].is_monotonic_increasing
    assert means["said"][1.0] == pytest.approx(0.8, abs=0.03)
    error = 3 * math.sqrt(0.25 / (len(frame) / 3))
    assert (means["found"] - means["said"]).abs().max() <= error


def test_a_rise_is_planted_upwards_and_a_fall_downwards(monkeypatch):
    tried = []
    monkeypatch.setattr(
        "delever.research.signal.planted.plant",
        lambda signal, effect, horizon: tried.append(effect) or plant(signal, effect, horizon),
    )
    watched = RULES["rolling_low"](weeks=10).on(market(100))
    power = study_signal([watched], name="x", design=DESIGN).power["effect"]
    signs = np.sign(tried)
    assert set(signs) == {1.0, -1.0}
    assert (np.diff(signs) <= 0).all()  # rises first
    for direction, sign in (("rise", 1.0), ("fall", -1.0)):
        assert {sign * power[direction, multiple] for multiple in (0.5, 1.0, 1.5)} <= set(tried)


def test_few_events_say_that_nothing_is_known():
    study = study_signal([own_events(market(4), [100, 300])], name="x", design=DESIGN)
    assert math.isnan(study.detectable)
    assert study.power.empty

"""The pages of an audit and of a state: what they say, where the price stands, and their minus."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest

from delever.report.page import block, render_page
from delever.report.pages import claims_page as audit_page
from delever.report.pages import state_page
from delever.report.table import Cell, Column, Table
from delever.research.base_rates import BaseRate
from delever.research.claims.audit import (
    AuditedClaim,
    Claim,
    ClaimDefinition,
    Expectation,
    Measurement,
)
from delever.research.state import Level, MarketState, StressReading, Support

CLOSE = pd.Timestamp("2026-02-06", tz="UTC")


def measured(value: float | pd.Timestamp | None, unit: str, holds: bool | None) -> Measurement:
    definition = ClaimDefinition(
        label="a <way>",
        compute="value",
        series="coin",
        at=CLOSE,
        expects=Expectation(test="below", high=-0.17),
    )
    return Measurement(
        definition=definition,
        value=value,
        unit=unit,  # type: ignore[arg-type]
        holds=holds,
        base_rate=0.037,
        rows=3_087,
        missing="" if value is not None else "series 'x' would decide it and is not there",
    )


def audited(name: str, verdict: str, *figures: Measurement) -> AuditedClaim:
    claim = Claim(id=name, statement=f"{name} was said.", said=CLOSE, definitions=())
    return AuditedClaim(
        claim=claim,
        verdict=verdict,  # type: ignore[arg-type]
        because="holds: a <way>",
        measured=figures,
    )


def body(text: str) -> str:
    """What a reader sees, without style, scripts and marks."""
    inside = text[text.index("<main>") : text.index("</main>")]
    return " ".join(re.sub(r"<[^>]+>", " ", inside).split())


def test_an_audit_names_each_verdict_once_beside_its_claim() -> None:
    claims = [
        audited("A1", "confirmed", measured(-0.184, "fraction", True)),
        audited("A2", "depends on the definition", measured(CLOSE, "date", False)),
        audited("A3", "not testable", measured(None, "number", None)),
    ]
    said = "Of 3 claims 1 hold as they were made and 0 do not; 1 hold or not by what is meant"
    assert audit_page.headline(claims).startswith(said)
    text = audit_page.render("One week", claims, data={"coin": "bars"}, missing={})
    seen = body(text)
    assert said in seen
    assert "depends on the definition A2 A2 was said. holds: a &lt;way&gt;" in seen
    # A number has a minus sign, a date keeps its hyphens.
    assert "−18.4%" in seen
    assert "2026-02-06" in seen
    assert "series &#39;x&#39; would decide it" in seen
    assert text.count('class="claim"') == 3


@pytest.mark.parametrize(
    ("written", "shown"),
    [("-1.5% to -0.2%", "−1.5% to −0.2%"), ("2026-02-06", "2026-02-06"), ("-5e-05", "−5e-05")],
)
def test_a_minus_stands_before_numbers_only(written: str, shown: str) -> None:
    table = Table(id="claims", columns=(Column(label="x"),), rows=((Cell(text=written),),))
    text = render_page(title="t", blocks=[block("data", "Data", table)])
    assert body(text).count(shown) == 1


def state(stress: float = 0.999, phase: str = "cascade") -> MarketState:
    ever = BaseRate(rate=0.5, low=0.4, high=0.6, effective=100.0)
    seldom = BaseRate(rate=math.nan, low=math.nan, high=math.nan, effective=2.4)
    levels = [Level(name=name, price=p, distance=p / 100 - 1) for name, p in LEVELS.items()]
    return MarketState(
        time=CLOSE,
        price=100.0,
        phase=phase,
        since=CLOSE if phase else None,
        stress=stress,
        coverage=0.9,
        days=30,
        levels=(*levels, Level(name="unknown", price=math.nan, distance=math.nan)),
        readings=(
            StressReading(feature="daily_funding", value=-0.00006, percentile=0.06, values=9),
            StressReading(feature="fear_greed", value=math.nan, percentile=math.nan, values=0),
        ),
        supports=(Support(level=levels[-1], ranges=2.25, unconditional=ever, same_phase=seldom),),
        missing={},
    )


LEVELS = {"far": 150.0, "at": 100.0, "below": 90.0}


def test_the_price_stands_among_its_levels() -> None:
    rows = [cells[0] for cells in state_page.levels_table(state()).texts]
    assert rows == ["far", "at", "the price now", "below", "unknown"]


def test_too_few_are_said_to_be_too_few() -> None:
    (row,) = state_page.supports_table(state()).texts
    assert row == ("below", "90.000", "-10.0%", "2.2", "50%", "40% to 60%", "too few to say", "")
    text = state_page.render(state(), data={"bars": "x"})
    assert "too few to say" in body(text)
    assert "2 starts" in body(text)


@pytest.mark.parametrize(
    ("rank", "said"), [(0.999, "over 99%"), (0.004, "under 1%"), (0.421, "42%")]
)
def test_a_rank_never_says_all_or_nothing(rank: float, said: str) -> None:
    line = state_page.headline(state(rank))
    assert f"phase cascade (forced selling) since 2026-02-06; {said} of its past had less" in line
    assert "phase unknown" in state_page.headline(state(rank, phase=""))


def test_small_fractions_keep_their_digits() -> None:
    rows = state_page.readings_table(state()).texts
    assert rows[0][:3] == ("daily funding", "-0.006%", "6%")
    assert rows[1][1:3] == ("n/a", "n/a")

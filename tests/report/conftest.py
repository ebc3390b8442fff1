"""Small real evaluations, and a reader of pages that knows nothing of how they are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from delever.deleveraging.period import Period, PeriodFigure
from delever.engine.backtest import Backtest, backtest
from delever.research.evaluation import Evaluation, evaluate
from delever.venues.costs import Costs

VOID = {"meta", "br", "img", "link", "input", "hr"}


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("ns")


def market(bars: int = 500, seed: int = 3) -> pd.DataFrame:
    """A seeded random walk with a fall of two weeks in it."""
    steps = np.random.default_rng(seed).normal(0.001, 0.03, bars)
    steps[100:114] -= 0.05
    index = pd.date_range("2020-01-01", periods=bars, tz="UTC", unit="ns", name="open_time")
    close = pd.Series(100 * np.exp(np.cumsum(steps)), index=index)
    opened = close.shift(fill_value=100.0)
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": 1.0,
        }
    )


PERIODS = (
    Period(
        id="2020-04-fall",
        title="The fall",
        start=day("2020-04-10"),
        trough=day("2020-04-23"),
        end=day("2020-04-24"),
        cause="Longs were closed by force.",
        figures=(
            PeriodFigure(
                name="forced liquidations",
                value=1.5e9,
                unit="USD",
                definition="all venues, 24 hours",
                source="A Paper, https://example.org/fall?a=1, page 2",
                as_of=day("2020-04-25"),
            ),
        ),
    ),
    Period(
        id="2020-08-dip",
        title="The dip",
        start=day("2020-08-01"),
        trough=day("2020-08-05"),
        end=day("2020-08-11"),
    ),
)


def simulate(bars: pd.DataFrame, target: pd.Series | float) -> Backtest:
    exposure = pd.Series(target, index=bars.index, dtype="float64")
    return backtest(
        bars,
        exposure,
        timeframe="1d",
        costs=Costs(taker_fee=0.001, slippage=0.0005),
        initial_target=float(exposure.iloc[0]),
    )


def evaluation_of(
    bars: pd.DataFrame,
    target: pd.Series | float,
    periods: tuple[Period, ...] = PERIODS,
    name: str = "switch",
) -> Evaluation:
    return evaluate(
        name=name,
        backtest=simulate(bars, target),
        benchmark=simulate(bars, 1.0),
        bars=bars,
        periods=periods,
    )


def switching(bars: pd.DataFrame, every: int = 20) -> pd.Series:
    """In and out of the market every so many bars."""
    return pd.Series((np.arange(len(bars)) // every) % 2, index=bars.index, dtype="float64")


@pytest.fixture(scope="session")
def build() -> Callable[..., Evaluation]:
    return evaluation_of


@pytest.fixture(scope="session")
def walk() -> Callable[..., pd.DataFrame]:
    return market


@pytest.fixture(scope="session")
def switch() -> Callable[..., pd.Series]:
    return switching


@pytest.fixture(scope="session")
def evaluation() -> Evaluation:
    bars = market()
    return evaluation_of(bars, switching(bars))


@dataclass(slots=True)
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass(slots=True)
class Document:
    """What a browser would see: elements in order, and the cells of each table by its id."""

    elements: list[Element] = field(default_factory=list)
    tables: dict[str, list[list[Element]]] = field(default_factory=dict)
    text: str = ""

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def column(self, table: str, place: int) -> list[str]:
        return [row[place].text for row in self.tables[table] if row[0].tag == "td"]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.document = Document()
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.document.elements.append(element)
        if tag == "table":
            self.document.tables[element.attributes["id"]] = []
        rows = next(reversed(self.document.tables.values()), None)
        if tag == "tr" and rows is not None:
            rows.append([])
        if tag in {"td", "th"} and rows is not None:
            rows[-1].append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open:
            self.open[-1].text += data
            if self.open[-1].tag not in {"script", "style"}:
                self.document.text += data


@pytest.fixture(scope="session")
def read() -> Callable[[str], Document]:
    """Parse a page, refusing one whose elements do not nest."""

    def parse(page: str) -> Document:
        reader = _Reader()
        reader.feed(page)
        reader.close()
        assert not reader.open, f"left open: {[element.tag for element in reader.open]}"
        return reader.document

    return parse

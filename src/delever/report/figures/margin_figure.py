"""How near an account came to liquidation, and what funding came to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from delever.deleveraging.period import Period
from delever.report.figures.look import Chart
from delever.report.figures.panels import stacked
from delever.report.format import percent, when


def margin_figure(
    path: pd.DataFrame, funding: pd.Series, periods: Sequence[Period], *, timeframe: str
) -> Chart | None:
    """Margin ratio, room to the nearest liquidation and cumulated funding; None without any."""
    ratio, room = path["margin_ratio"].where(np.isfinite(path["margin_ratio"])), path["room"]
    lines = pd.DataFrame(
        {"margin ratio": ratio, "room to liquidation": room, **_cumulated(funding)}
    )
    highest, bar = _extreme(path["margin_ratio"], path["margin_ratio"].max())
    said = [
        "Margin ratio: maintenance margin over margin balance, 100% liquidates; a gap while "
        f"nothing needs margin. Highest at a close: {highest}, in the bar of {bar}."
    ]
    if room.notna().any():
        least, bar = _extreme(room, room.min())
        leg = path["nearest"].iloc[int(np.nan_to_num(room, nan=np.inf).argmin())]
        whose = " of the nearest leg" if leg else ""
        still = ", the others standing still" if leg else " to liquidate the position"
        said.append(
            f"Room: how far the price{whose} must move from the close{still}. Least at a close: "
            f"{least}{leg and f' of {leg}'}, in the bar of {bar}; inside bars it may have been "
            "less."
        )
    return _drawn("Margin of the account", lines, said, periods, timeframe)


def _cumulated(funding: pd.Series) -> dict[str, pd.Series]:
    return {"funding, cumulated": funding.cumsum()}


def _extreme(values: pd.Series, extreme: float) -> tuple[str, str]:
    """An extreme of a line, and the bar in which it was reached."""
    bars = values.index[values == extreme]
    return percent(float(extreme)), when(bars[0]) if len(bars) else ""


def _drawn(
    title: str, lines: pd.DataFrame, said: list[str], periods: Sequence[Period], timeframe: str
) -> Chart | None:
    """A panel for each line that is ever anything but 0, with what is said of it, by its start."""
    shown = [str(name) for name in lines if (lines[name].fillna(0.0) != 0.0).any()]
    if not shown:
        return None
    paid = float(lines["funding, cumulated"].iloc[-1])
    said.append(
        "Funding in quote currency, below 0 where paid; in all it was "
        f"{'received' if paid > 0.0 else 'paid'}."
    )
    starts = tuple(name.partition(" ")[0].strip(",").capitalize() for name in shown)
    return stacked(
        "fig-margin",
        title if len(shown) > 1 else shown[0].capitalize(),
        {
            name: (
                lines[[name]],
                "," if name.startswith("funding") else ".0%",
                "%{y:,.0f}" if name.startswith("funding") else "%{y:.1%}",
            )
            for name in shown
        },
        periods,
        timeframe=timeframe,
        caption=" ".join(one for one in said if one.startswith(starts)),
        height=120 + 150 * len(shown),
    )

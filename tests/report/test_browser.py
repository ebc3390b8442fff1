"""Every kind of page in a real browser without a network: drawn, quiet, linked, readable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.chromium import Opened, missing, opened, required, started

import delever as dl
from delever.report.page import block, render_page
from delever.report.pages import coverage_page

pytestmark = [
    pytest.mark.skipif(bool(missing()) and not required(), reason=missing()),
    pytest.mark.xdist_group("browser"),  # one browser, and each page made once
]

HOSTILE = "<script>alert('x')</script> \"цена\" & <b>"
KINDS = (
    *("tearsheet", "leveraged", "comparison", "sweep", "signal", "event", "claims", "state"),
    *("coverage", "periods", "runs", "hostile", "family"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert not missing(), missing()
    with started() as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind, each of a small study."""
    place = dl.init(tmp_path_factory.mktemp("browser") / "workspace")
    market = dl.market("sample/ohlcv/BTC/USD/1d", end="2014-01-01", workspace=place)
    average = dl.run(
        place.backtests / "ma200w_break.toml",
        {"end": "2014-01-01", "params.weeks": 30},
        quick=True,
        workspace=place,
    )
    account = dl.Account(
        contract="BTC/USDT:USDT",
        rules="generic",
        leverage=3,
        exposure=2,
        stop_loss=0.1,
        funding_policy="missing-is-zero",
    )
    leveraged = dl.backtest(
        market, "support_breach", weeks=8, account=account, workspace=place, name=HOSTILE
    )
    close = market.bars["close"]
    design = dl.StudyDesign(horizons=(5,), decides=5, draws=10)
    axes = {"weeks": [8, 12, 16], "costs.taker_fee": [0, 0.001]}
    results = {
        "tearsheet": average,
        "leveraged": leveraged,
        "comparison": dl.compare(average, leveraged),
        "sweep": dl.sweep(market, "support_breach", axes, workspace=place),
        "signal": dl.signal_study(
            "rolling_low",
            market,
            {"weeks": 8},
            design=design,
            when=["fall_speed<-1"],
            vary={"weeks": [6, 8], "confirm": [1, 2]},
            workspace=place,
        ),
        "family": dl.signal_family(["round_number", "rolling_low"], market, design=design),
        "event": dl.event_study(market, close.pct_change() < -0.15),
        "claims": dl.claims("backtests/claims_2026_02.toml", workspace=place),
        "state": dl.state("2014-01-01", data="sample/ohlcv/BTC/USD/1d", workspace=place),
        "periods": dl.periods(market, workspace=place),
        "runs": dl.runs(workspace=place),
    }
    made = {name: one.page(place.root / f"{name}.html") for name, one in results.items()}
    texts = {"coverage": coverage(), "hostile": hostile(), "notebook": average._repr_html_()}
    for name, text in texts.items():
        made[name] = place.root / f"{name}.html"
        made[name].write_text(text, "utf-8")
    return made


def coverage() -> str:
    edges = pd.date_range("2019-06-01", periods=5, freq="200D", tz="UTC")
    states = ["present", "absent", "unknown", "present"]
    table = pd.DataFrame({"start": edges[:-1], "end": edges[1:], "state": states, "bars": 200})
    return coverage_page.render(
        {"venue/ohlcv/BTC/USD/1d": table}, {"broken": ("a <part> is gone",)}
    )


def hostile() -> str:
    """A page on which everything that can be named has a name that is no name."""
    import plotly.graph_objects as go

    figure = go.Figure().add_bar(x=["a"], y=[1.0])
    return render_page(
        title=HOSTILE,
        name=HOSTILE,
        headline=HOSTILE,
        notes=[HOSTILE],
        blocks=[
            block("own", HOSTILE, HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}, figure),
            block("table", HOSTILE, pd.DataFrame({HOSTILE: [HOSTILE]})),
        ],
    )


DRAWN = """charts => charts.map(chart => ({
    id: chart.id,
    traces: (chart._fullData ?? []).filter(trace => trace.visible === true).length,
    marks: chart.querySelectorAll(".cartesianlayer .trace path, .cartesianlayer image").length,
    axis: chart._fullLayout?.xaxis?.type,
    text: chart.querySelector(".main-svg") ? "" : chart.textContent,
}))"""


@pytest.fixture(scope="module", params=KINDS)
def seen(browser: Any, pages: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Opened]:
    """A page of each kind, opened once: a test leaves it whole, and a later one may resize it."""
    with opened(browser, pages[request.param]) as page:
        yield page


def test_every_figure_is_drawn_and_nothing_is_said_or_asked(
    seen: Opened, pages: dict[str, Path]
) -> None:
    (asked,) = seen.asked
    kind = Path(asked).stem
    assert pages[kind].as_uri() == asked
    assert seen.said == []
    charts = seen.page.eval_on_selector_all(".chart", DRAWN)
    assert len(charts) == seen.page.locator("script[data-chart]").count()
    for chart in charts:
        assert chart["text"] == "", chart
        assert chart["marks"] >= chart["traces"] > 0, chart
    assert bool(charts) == (
        kind not in {"claims", "coverage", "family", "periods", "runs", "state"}
    )
    shown = seen.page.inner_text("body")
    for word in ("NaN", "undefined", "Infinity"):
        assert word not in shown
    assert (HOSTILE in shown) == (kind in {"hostile", "leveraged", "comparison"})


RANGES = """charts => charts.filter(chart => chart._fullLayout.xaxis.type === "date")
    .flatMap(chart => Object.keys(chart._fullLayout)
        .filter(key => /^xaxis\\d*$/.test(key))
        .map(key => chart._fullLayout[key].range.map(end => String(end).slice(0, 10)).join(" ")))"""


@pytest.mark.parametrize("seen", ["tearsheet"], indirect=True)
def test_a_stretch_of_time_is_shown_by_every_figure_over_time(seen: Opened) -> None:
    page = seen.page

    def ranges() -> list[str]:
        return page.eval_on_selector_all(".chart", RANGES)

    def show_the_whole() -> None:
        page.locator("button.whole").first.click()
        page.wait_for_selector("body:not(.zoomed)")
        assert ranges() == whole

    whole = ranges()
    assert len(whole) > 3
    show = page.locator("button.zoom").first
    period = " ".join(show.get_attribute(f"data-{end}")[:10] for end in ("from", "to"))
    show.click()
    page.wait_for_selector("body.zoomed")
    assert set(ranges()) == {period}
    # Every value axis is fitted to what is in view.
    low, high = page.eval_on_selector("#fig-history", "c => c._fullLayout.yaxis2.range")
    assert -0.9 < low < high < 0.1
    show_the_whole()
    # By the mouse: a stretch is dragged over in one figure, the others follow.
    page.locator("#fig-what-if .nsewdrag").hover()
    box = page.locator("#fig-what-if .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 100, steps=4)
    page.mouse.up()
    page.wait_for_selector("body.zoomed")
    assert len(set(ranges())) == 1
    assert set(ranges()).isdisjoint({*whole, period})
    show_the_whole()
    assert seen.said == []


@pytest.mark.parametrize("seen", ["tearsheet"], indirect=True)
def test_a_trade_leads_to_the_price(seen: Opened) -> None:
    page = seen.page
    show = page.locator("#trades button.zoom").first
    show.click()
    page.wait_for_selector("body.zoomed")
    page.wait_for_function(
        """() => {
            const place = document.getElementById("fig-price").getBoundingClientRect();
            return place.top < window.innerHeight && place.bottom > 0;
        }"""
    )
    begin = page.eval_on_selector("#fig-price", "chart => chart._fullLayout.xaxis.range[0]")
    assert str(begin)[:10] == show.get_attribute("data-from")[:10]
    assert seen.said == []


@pytest.mark.parametrize("seen", ["leveraged"], indirect=True)
def test_a_heading_sorts_by_mouse_and_by_key(seen: Opened) -> None:
    orders = """table => [...table.tBodies[0].rows].map(row =>
        row.cells[table.querySelector("th[aria-sort]").cellIndex].dataset.order ?? "")"""
    table = seen.page.locator("table.sortable").first
    head = table.locator("th.num button").first
    head.click()
    down = [float(one) for one in table.evaluate(orders)]
    assert down == sorted(down, reverse=True)
    assert len(set(down)) > 1
    head.press("Enter")
    assert [float(one) for one in table.evaluate(orders)] == sorted(down)
    assert head.locator("..").get_attribute("aria-sort") == "ascending"


TABBED = """() => {
    const [reached, outlined] = [new Set(), new Set()];
    window.tabbed = () => [[...reached], [...outlined]];
    const all = [...document.querySelectorAll("a[href], button, summary, .scroll[tabindex]")]
        .filter(e => e.checkVisibility());
    addEventListener("focusin", event => {
        const place = all.indexOf(event.target);
        reached.add(place);
        if (getComputedStyle(event.target).outlineStyle !== "none") outlined.add(place);
    });
    return all.length;
}"""


@pytest.mark.parametrize("seen", ["leveraged"], indirect=True)
def test_every_button_is_reached_by_tab_and_seen_to_be(seen: Opened) -> None:
    page = seen.page
    wanted = page.evaluate(TABBED)
    assert wanted > 20
    for _ in range(wanted + 30):
        page.keyboard.press("Tab")
    for places in page.evaluate("tabbed()"):
        assert set(places) - {-1} == set(range(wanted))


# The contrast of every text that is seen against the colours that lie under it, by WCAG 2.
FAINT = """() => {
    const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const over = ([r, g, b, a = 1], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
    const under = (element) => {
        if (!element) return [255, 255, 255];
        const own = rgb(getComputedStyle(element).backgroundColor);
        const below = () => under(element.parentElement);
        return own[3] === 0 ? below() : over(own, below());
    };
    const found = [];
    for (const element of document.querySelectorAll("main *")) {
        const bare = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!bare || !element.getClientRects().length || element.closest("script, .hm")) continue;
        const style = getComputedStyle(element);
        const svg = element instanceof SVGElement;
        if (svg && element.closest(".trace, .annotation, .modebar")) continue;
        const paper = under(svg ? element.closest(".chart") : element);
        const ink = over(rgb(svg ? style.fill : style.color).slice(0, 3)
            .concat(Number(style.opacity)), paper);
        const [a, b] = [light(ink), light(paper)].sort((p, q) => q - p);
        const ratio = (a + 0.05) / (b + 0.05);
        const text = element.textContent.trim().slice(0, 30);
        if (ratio < 4.5) found.push(`${text} ${ratio.toFixed(2)}`);
    }
    return found;
}"""


def settled(seen: Opened, found: str) -> list[str]:
    """What a script finds amiss once the figures have followed a change of look or size."""
    amiss: list[str] = []
    for _ in range(100):
        amiss = seen.page.evaluate(found)
        if not amiss:
            break
        seen.page.wait_for_timeout(100)
    return amiss


def test_texts_stand_out_from_what_lies_under_them_by_day_and_by_night(seen: Opened) -> None:
    for scheme in ("dark", "light"):
        seen.page.emulate_media(color_scheme=scheme)
        paper = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(json.loads(f"[{paper[4:-1]}]")) < 384) == (scheme == "dark")
        assert settled(seen, FAINT) == [], scheme


def test_a_phone_shows_a_page_without_moving_it_sideways(seen: Opened) -> None:
    seen.page.set_viewport_size({"width": 390, "height": 844})
    assert settled(seen, WIDE) == []


WIDE = """() => [...document.querySelectorAll("html, section, .tile, .chart .main-svg")]
    .filter(e => !e.closest(".scroll"))
    .filter(e => 391 < Math.max(e.getBoundingClientRect().right, e.matches("html") * e.scrollWidth))
    .map(e => e.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("seen", ["leveraged"], indirect=True)
def test_a_printed_page_is_light_and_shows_every_row(seen: Opened) -> None:
    page = seen.page
    ink = 'document.querySelector("#fig-history")._fullLayout.font.color'
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f'() => {ink} === "#e3e6ea"')
    page.evaluate(f"""() => {{
        for (const kind of ["beforeprint", "afterprint"])
            addEventListener(kind, () => {{ document.body.dataset[kind] = {ink}; }});
        addEventListener("beforeprint", () => {{ document.body.dataset.widest = Math.max(
            ...[...document.querySelectorAll(".main-svg")].map((e) => e.clientWidth)); }});
    }}""")
    drawn = "document.querySelector('#fig-history')._fullLayout.width"
    wide = page.evaluate(drawn)
    content = page.pdf(print_background=True)
    assert content.startswith(b"%PDF")
    light, dark = page.evaluate(
        "[document.body.dataset.beforeprint, document.body.dataset.afterprint]"
    )
    assert (light, dark) == ("#2b2f36", "#e3e6ea")
    sheet = 210 / 25.4 * 96 - 2 * 38  # pixels of A4 between margins of a centimetre
    assert int(page.evaluate("document.body.dataset.widest")) <= sheet < wide
    assert page.evaluate(drawn) == wide
    page.emulate_media(media="print")
    hidden = page.eval_on_selector_all(
        "tbody tr",
        """rows => rows.filter(row => !row.closest("details"))
            .filter(row => !row.getClientRects().length).length""",
    )
    assert hidden == 0
    page.emulate_media(media="screen", color_scheme="light")


def test_a_notebook_shows_the_first_figure_without_a_network(
    browser: Any, pages: dict[str, Path]
) -> None:
    context = browser.new_context(offline=True)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(pages["notebook"].as_uri())
    frame = page.frame_locator("iframe")
    frame.locator("html[data-figures=done]").wait_for(state="attached")
    assert frame.locator(".cartesianlayer .trace path").count() >= 5
    assert asked == [pages["notebook"].as_uri()]
    context.close()

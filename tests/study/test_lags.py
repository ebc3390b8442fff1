"""A series declared as known before the workspace's source has it is refused or noted."""

from __future__ import annotations

import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.data.references import Dataset, Reference
from delever.errors import InputError
from delever.study.inputs.market import early_series
from delever.study.research.state_report import state
from delever.study.workspaces.workspace import Workspace

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

OWN = "alternative/series/FEAR_GREED/1d"
OTHER = "elsewhere/series/FEAR_GREED/1d"
SAMPLE = "sample/ohlcv/BTC/USD/1d"


def dataset(reference: str, lag: str) -> Dataset:
    index = pd.date_range("2024-01-01", periods=3, tz="UTC", name="timestamp")
    return Dataset(
        reference=Reference.parse(reference),
        frame=pd.DataFrame({"value": [1.0, 2.0, 3.0]}, index=index),
        id="",
        publication_lag=pd.Timedelta(lag),
        notes=(),
        provenance=(),
    )


def store(workspace: Workspace, reference: str, lag: str) -> None:
    made = dataset(reference, lag)
    workspace.catalog.add(made.frame, reference, publication_lag=made.publication_lag)


@pytest.mark.parametrize(
    ("name", "reference", "lag", "said"),
    [
        # Fear & Greed is 8 h late in the file that comes along, VIX 40 h, gold (GLD) 24 h.
        ("fear_greed", OTHER, "7h", "is declared as known 7 h after its stamp"),
        ("mood", OTHER, "1min", "sources.toml says 8 h for fear_greed"),
        ("fear_greed", "elsewhere/series/MOOD/1d", "0h", "says 8 h for fear_greed"),
        ("vix", "elsewhere/series/VIX/1d", "30h", "says 40 h for vix"),
        ("gold", "elsewhere/series/METAL/1d", "20h", "says 24 h for gld"),
    ],
)
def test_another_vendors_series_is_noted(
    workspace: Workspace, name: str, reference: str, lag: str, said: str
) -> None:
    sources = workspace.root / "data" / "sources.toml"
    (note,) = early_series({name: dataset(reference, lag)}, sources)
    assert said in note
    assert early_series({name: dataset(reference, "48h")}, sources) == ()
    assert early_series({name: dataset(reference, lag)}, sources.with_name("none.toml")) == ()


def test_what_no_source_speaks_of_is_left_alone(workspace: Workspace) -> None:
    sources = workspace.root / "data" / "sources.toml"
    assert early_series({"funding": dataset("a/series/X/1d", "0h")}, sources) == ()


def test_under_the_sources_own_name_it_is_refused(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = workspace.root / "data" / "sources.toml"
    assert early_series({"fear_greed": dataset(OWN, "8h")}, sources) == ()
    with pytest.raises(InputError, match=r"7\.5 h .* says 8 h for fear_greed; add the data set"):
        early_series({"fear_greed": dataset(OWN, "7h30min")}, sources)
    store(workspace, OWN, "1h")
    assert (
        main(
            [
                "check",
                "fear_greed",
                "--series",
                f"fear_greed={OWN}",
                "--points",
                "1",
                "--seconds",
                "0",
            ]
        )
        == 2
    )
    assert "add the data set again with that --publication-lag" in capsys.readouterr().err


def test_state_and_signal_studies_pass_the_note_on(workspace: Workspace) -> None:
    store(workspace, OTHER, "1h")
    report = state("2013-01-01", data=SAMPLE, workspace=workspace)
    assert report.data["fear_greed"] == OTHER
    assert any("says 8 h for fear_greed" in note for note in report.notes)
    market = dl.market(SAMPLE, series={"fear_greed": OTHER}, workspace=workspace)
    assert any("says 8 h for fear_greed" in note for note in market.notes)


STUDY = f"""
strategy = "buy_and_hold"
data = "{SAMPLE}"
start = 2024-01-01

[series]
fear_greed = "SERIES"
"""


def test_a_run_says_it_on_its_page_or_is_refused(workspace: Workspace) -> None:
    store(workspace, OTHER, "1h")
    store(workspace, OWN, "1h")
    file = workspace.backtests / "early.toml"
    file.write_text(STUDY.replace("SERIES", OTHER))
    run = dl.run(file, workspace=workspace)
    assert any("says 8 h for fear_greed: where these are the same" in note for note in run.notes)
    file.write_text(STUDY.replace("SERIES", OWN))
    with pytest.raises(InputError, match="add the data set again with that --publication-lag"):
        dl.run(file, workspace=workspace)

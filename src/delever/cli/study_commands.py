"""``delever study signal`` and ``study plan``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import delever as dl
from delever.cli.option_values import parse_named, parse_overrides
from delever.cli.terminal import (
    SAMPLE,
    ClusterOption,
    Json,
    Output,
    Series,
    Set,
    Wide,
    WorkspaceOption,
    echo_json,
    on_cluster,
    print_notes,
    print_table,
    print_text,
    steps,
    written,
)
from delever.study.workspaces.workspace import Workspace

Markets = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="REFERENCE", help="Bars; repeated, markets are pooled."),
]
Horizons = Annotated[
    list[int] | None,
    typer.Option("--horizon", metavar="BARS", help="Bars held; may be repeated."),
]
Decides = Annotated[int, typer.Option("--decides", help="The horizon that the verdict is about.")]
Draws = Annotated[int, typer.Option("--draws", help="Placebo levels, up to 100,000.")]
SmallestEffect = Annotated[
    float | None, typer.Option("--smallest-effect", help="Smallest effect that matters: 0.05.")
]
Rungs = Annotated[
    list[float] | None,
    typer.Option("--rung", help="A further level, as a multiple of the broken one: 0.9."),
]
Prices = Annotated[
    list[float] | None,
    typer.Option("--price", help="A further level as a price, in place of --rung: 65000."),
]
RungBars = Annotated[int, typer.Option("--rung-bars", help="Bars to get there.")]
Benchmark = Annotated[
    str | None,
    typer.Option("--benchmark", metavar="REFERENCE", help="Market of the event study."),
]
Seed = Annotated[int, typer.Option("--seed", help="Of the placebo levels, >= 0.")]

Names = Annotated[
    list[str],
    typer.Argument(
        help="A rule, such as average or round_number, or an event feature; several are a family.",
        show_default=False,
    ),
]
When = Annotated[
    list[str] | None,
    typer.Option("--when", metavar="CONDITION", help="Where it holds or not: 'fear_greed<15'."),
]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary", metavar="KEY=VALUES", help="Map it: 'weeks=[50, 100]', 'rule=[\"average\"]'."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    study = typer.Typer(help="Ask what happened after events.", no_args_is_help=True)
    for command in (signal, plan):
        study.command()(command)
    app.add_typer(study, name="study")


def signal(
    names: Names,
    data: Markets = None,
    set_: Set = None,
    series: Series = None,
    horizon: Horizons = None,
    decides: Decides = 30,
    draws: Draws = 1_000,
    smallest_effect: SmallestEffect = None,
    rung: Rungs = None,
    price: Prices = None,
    rung_bars: RungBars = 90,
    benchmark: Benchmark = None,
    when: When = None,
    map_: Annotated[
        bool, typer.Option("--map", help="Vary its usual parameters; see --vary.")
    ] = False,
    vary: Vary = None,
    seed: Seed = 0,
    cluster: ClusterOption = None,
    output: Output = None,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Study what came after the events of a signal. It is compared with placebo levels."""
    from delever.errors import ConfigError

    place = Workspace.find(workspace)
    asked: dict[str, Any] = {
        "data": data or [SAMPLE],
        "params": parse_overrides(set_ or []),
        "design": dl.StudyDesign(
            horizons=tuple(sorted({*(horizon or (7, 30, 90)), decides})),
            decides=decides,
            draws=draws,
            smallest_effect=smallest_effect,
            seed=seed,
        ),
        "series": parse_named("--series", series or []),
        "rungs": rung,
        "prices": price or (),
        "rung_bars": rung_bars,
        "benchmark": benchmark,
        "when": when or (),
        "workspace": place,
    }
    varied = parse_overrides(vary or [])
    axes = {key: one if isinstance(one, list) else [one] for key, one in varied.items()}
    if len(names) > 1 and (map_ or axes):
        raise ConfigError("one signal at a time is mapped; further rules go into --vary rule=…")
    found: dl.SignalReport | dl.SignalFamily
    with on_cluster(cluster) as there, steps(1, quiet=as_json) as begin:
        asked |= {"cluster": there, "progress": begin("signal study")}
        if len(names) > 1:
            found = dl.signal_family(names, **asked)
        else:
            found = dl.signal_study(names[0], vary=axes if map_ or axes else None, **asked)
    _show(found, written(found, output, place), as_json)


def _show(found: dl.SignalReport | dl.SignalFamily, page: object, as_json: bool) -> None:
    from delever.report.pages import signal_asides as asides
    from delever.report.pages import signal_page as tables
    from delever.report.pages.ladder_table import ladder_table
    from delever.research.signal.forward import FEWEST_EVENTS

    if as_json:
        echo_json({"page": str(page), **found.to_dict()})
        return
    print_text(found.headline)
    every = found.reports if isinstance(found, dl.SignalFamily) else [found]
    for one in every:
        name = f"{one.study.name}: " if len(every) > 1 else ""
        print_text(name + asides.sequence_sentence(one.study, len(every)))
    if isinstance(found, dl.SignalFamily):
        print_table("signals together", found.table)
        notes = tuple(dict.fromkeys(note for one in found.reports for note in one.notes))
    else:
        study, notes = found.study, found.notes
        print_table(study.name, tables.outcome_table(study))
        print_table("beside others", tables.comparison_table(study))
        print_table("what would have been found", tables.power_table(study))
        if found.ladder is not None:
            print_table("further levels", ladder_table(found.ladder))
        if found.abnormal is not None:
            print_table("abnormal returns", tables.abnormal_table(found.abnormal))
        if found.conditions is not None:
            shown = asides.condition_table(found.conditions, study.design.decides)
            print_table("where a condition holds", shown)
        if found.robustness is not None:
            print_table("varied: the least likely", asides.map_table(found.robustness, 10))
            print_text(asides.map_sentence(found.robustness))
        tested = [study.comparisons, *([] if found.ladder is None else [found.ladder.table])]
        if any(table["p_value"].isna().any() for table in tested):
            print_text(f"n/a: nothing is tested with fewer than {FEWEST_EVENTS} distinct events")
    print_notes(notes)
    typer.echo(f"study  {page}")


def plan(
    name: Annotated[str, typer.Argument(help="A rule or an event feature.", show_default=False)],
    effect: Annotated[
        float, typer.Option("--effect", help="To be found, a fraction: 0.1.", show_default=False)
    ],
    data: Markets = None,
    set_: Set = None,
    series: Series = None,
    decides: Decides = 30,
    draws: Draws = 1_000,
    seed: Seed = 0,
    workspace: WorkspaceOption = None,
    wide: Wide = False,
    as_json: Json = False,
) -> None:
    """Plan a study. How many events or coins until an effect would be seen in 80 % of cases."""
    from delever.report.pages.signal_asides import plan_table

    planned = dl.signal_plan(
        name,
        effect,
        data or [SAMPLE],
        parse_overrides(set_ or []),
        design=dl.StudyDesign(horizons=(decides,), decides=decides, draws=draws, seed=seed),
        series=parse_named("--series", series or []),
        workspace=Workspace.find(workspace),
    )
    if as_json:
        echo_json(planned.to_dict())
        return
    print_text(planned.headline)
    print_table(planned.name, plan_table(planned.plan))

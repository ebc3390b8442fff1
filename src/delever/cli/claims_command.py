"""``delever claims``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delever.cli.terminal import WorkspaceOption, echo_json

if TYPE_CHECKING:
    from delever.study.claims_file import Audit

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(claims)


def claims(
    file: Annotated[Path, typer.Argument(help="A file of claims (TOML).", show_default=False)],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="NAME=REFERENCE", help="A series, in place of the file's."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML file; by default in the results."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Audit what was claimed about a market. Confirmed, contradicted, depends, or not testable."""
    from delever.study.claims_file import audit_file
    from delever.study.option_values import parse_named
    from delever.study.workspace import Workspace

    place = Workspace.find(workspace)
    audit = audit_file(place.file(file), data=parse_named("--data", data or []), workspace=place)
    page = audit.page(output or place.results / f"{file.stem}.html")
    if as_json:
        echo_json(_as_json(audit, page))
    else:
        _print(audit, page)


def _print(audit: Audit, page: Path) -> None:
    from delever.cli.terminal import print_rows
    from delever.report.pages.claims_page import claims_table, counts

    table = claims_table(audit.audited)
    print_rows(
        audit.title,
        table.header,
        table.texts,
        left=[column.label for column in table.columns if not column.numeric],
    )
    for one in audit.audited:
        for measured in one.measured:
            if measured.missing:
                typer.echo(f"{one.claim.id}, {measured.definition.label}: {measured.missing}")
    typer.echo(", ".join(f"{count} {name}" for name, count in counts(audit.audited).items()))
    for name, what in audit.missing.items():
        typer.secho(f"not there: {name} ({what})", fg=typer.colors.YELLOW)
    typer.echo(f"audit  {page}")


def _as_json(audit: Audit, page: Path) -> dict[str, Any]:
    return {
        "title": audit.title,
        "page": str(page),
        "missing": dict(audit.missing),
        "claims": {
            one.claim.id: {
                "statement": one.claim.statement,
                "verdict": one.verdict,
                "because": one.because,
                "measured": [
                    {
                        "definition": each.definition.label,
                        "value": _plain(each.value),
                        "unit": each.unit,
                        "holds": each.holds,
                        "base_rate": _plain(each.base_rate),
                        "missing": each.missing,
                    }
                    for each in one.measured
                ],
            }
            for one in audit.audited
        },
    }


def _plain(value: Any) -> float | str | None:
    """A number, a date as text; None for what is undefined or never was."""
    import pandas as pd

    if value is None or pd.isna(value):
        return None
    return f"{value:%Y-%m-%d}" if isinstance(value, pd.Timestamp) else float(value)

"""Several data sets of several venues at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.data.catalog import Catalog
from delever.data.exchange.client import Client
from delever.data.exchange.fetch import Fetched, Report, fetch, require_order
from delever.data.exchange.plan import source_of
from delever.data.references import Reference
from delever.errors import DeleverError
from delever.kinds import kind_of

_AT_ONCE = 4
_HOUR = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One data set to fetch.

    Raises InputError if they cannot be those of a data set, or the start is not before the end.
    """

    venue: str  # as in a reference
    kind: str
    symbol: str
    # none for the usual one of the kind, and for funding for the venue's interval
    timeframe: str | None = None
    since: pd.Timestamp | None = None  # as for `delever.data.exchange.fetch.fetch`
    until: pd.Timestamp | None = None

    def __post_init__(self) -> None:
        timeframe = self.timeframe or "1d"
        Reference(venue=self.venue, kind=self.kind, symbol=self.symbol, timeframe=timeframe)
        require_order(self.since, self.until)

    def __str__(self) -> str:
        return f"{self.venue}/{self.kind}/{self.symbol}" + (
            "" if self.timeframe is None else f"/{self.timeframe}"
        )


def usual_timeframe(client: Client, catalog: Catalog, job: Job) -> str:
    """Timeframe of a job that names none."""
    usual = kind_of(job.kind).usual_timeframe
    if usual is not None:
        return usual
    stored = [
        entry.reference.timeframe
        for entry in catalog.survey().entries
        if (entry.reference.venue, entry.reference.kind, entry.reference.symbol)
        == (job.venue, job.kind, job.symbol)
    ]
    if len(stored) == 1:
        return stored[0]
    reference = Reference(venue=job.venue, kind=job.kind, symbol=job.symbol, timeframe="1h")
    source = source_of(client, reference)
    apart = np.diff(np.unique((source.newest().times + _HOUR // 2) // _HOUR))
    if not len(apart):
        return source.series.spacing or "8h"
    return f"{int(np.median(apart[-9:]))}h"


def fetch_all(
    jobs: Sequence[Job],
    catalog: Catalog,
    clients: Mapping[str, Client],
    *,
    report: Report | None = None,
) -> dict[Job, Fetched | DeleverError]:
    """Fetch data sets, several at once; what fails does not stop the others.

    Raises KeyboardInterrupt when interrupted, after what was complete has been stored.
    """

    def one(job: Job) -> Fetched:
        client = clients[job.venue]
        timeframe = job.timeframe or usual_timeframe(client, catalog, job)
        reference = Reference(
            venue=job.venue, kind=job.kind, symbol=job.symbol, timeframe=timeframe
        )
        return fetch(client, catalog, reference, since=job.since, until=job.until, report=report)

    results: dict[Job, Fetched | DeleverError] = {}
    pool = ThreadPoolExecutor(min(_AT_ONCE, max(1, len(jobs))), thread_name_prefix="fetch")
    futures = {pool.submit(one, job): job for job in jobs}
    try:
        for future in as_completed(futures):
            try:
                results[futures[future]] = future.result()
            except DeleverError as error:
                results[futures[future]] = error
    except KeyboardInterrupt:
        for client in clients.values():
            client.limiter.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return {job: results[job] for job in dict.fromkeys(jobs)}

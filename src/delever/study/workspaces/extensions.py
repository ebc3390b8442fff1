"""What the files of a workspace and installed packages add: metrics, vendors, signals and more."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delever.errors import ConfigError, InputError
from delever.study.workspaces.strategy import execute

if TYPE_CHECKING:
    from delever.signals.features import Features
    from delever.venues.costs import CostPart

GROUP = "delever"
"""Entry-point group under which an installed package names its module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """Everything added from outside, by kind; see ``docs/extending.md``."""

    # Each is collected from tuples of the same name in capitals: METRICS, VENDORS, …
    metrics: tuple[Any, ...] = ()  # see `delever.stats.metrics.metric`
    vendors: tuple[Any, ...] = ()  # see `delever.data.vendors.foreign.Vendor`
    venues: tuple[Any, ...] = ()  # see `delever.data.exchange.venue.Venue`
    computations: tuple[Any, ...] = ()  # see `delever.research.claims.protocol.computation`
    signals: tuple[Any, ...] = ()  # functions that make a `LevelRule`, by their own name
    features: tuple[Any, ...] = ()  # see `delever.signals.feature.feature`
    sections: tuple[Any, ...] = ()  # see `delever.report.page.Section`
    costs: tuple[Any, ...] = ()  # classes derived from `delever.venues.costs.CostPart`
    # files by sha256, packages by version: part of what a run is made from
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_features(self) -> Features:
        """Features by name: those of the package, then those from outside.

        Raises InputError if one is no feature, or two share a name.
        """
        from delever.signals.features import FEATURES, collect

        further = collect(self.features)
        for name in further:
            if name in FEATURES:
                raise InputError(f"a feature needs a name of its own; {name!r} repeats; rename it")
        return {**FEATURES, **further}

    @property
    def cost_models(self) -> Mapping[str, type[CostPart]]:
        """Parts that ``[costs.models]`` may name: those of the package, then those from outside.

        Raises InputError if one is no class of cost parts, or two share a name.
        """
        from delever.study.settings.config import COST_MODELS
        from delever.venues.costs import CostPart

        found = dict(COST_MODELS)
        for model in self.costs:
            if not (isinstance(model, type) and issubclass(model, CostPart)):
                raise InputError(f"COSTS must hold classes derived from CostPart; got {model!r}")
            if model.__name__ in found:
                raise InputError(f"a cost model needs a name of its own; {model.__name__} repeats")
            found[model.__name__] = model
        return found


KINDS = tuple(each.name for each in fields(Extensions) if each.name != "sources")
"""Kinds of extension."""


def load_extensions(folder: Path) -> Extensions:
    """Collect the extensions of a folder's files and of installed packages.

    Raises StrategyError if a file cannot be read or run; the message names its line. ConfigError if
    a kind is no tuple, or a package's module cannot be imported.
    """
    found: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    sources: dict[str, str] = {}
    for path in sorted(folder.glob("*.py")):
        source = path.read_bytes()
        sha256 = hashlib.sha256(source).hexdigest()
        _take(execute(path, source, sha256), str(path), found)
        sources[path.name] = sha256
    for point in sorted(_installed(), key=lambda one: one.name):
        _take(_imported(point), f"package {point.value}", found)
        sources[point.value] = "" if point.dist is None else point.dist.version
    return Extensions(**{kind: tuple(items) for kind, items in found.items()}, sources=sources)


def _installed() -> tuple[EntryPoint, ...]:
    """What installed packages name; read again once a folder of packages has changed."""
    places = [Path(place) for place in sys.path]
    return _found(tuple((one, one.stat().st_mtime_ns) for one in places if one.exists()))


@lru_cache(1)
def _found(_: tuple[tuple[Path, int], ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))


def _take(module: object, where: str, found: dict[str, list[Any]]) -> None:
    for kind, items in found.items():
        given = getattr(module, kind.upper(), ())
        if not isinstance(given, tuple | list):
            raise ConfigError(
                f"{where}: {kind.upper()} must be a tuple of extensions; got "
                f"{type(given).__name__}; write {kind.upper()} = (one, …)"
            )
        items.extend(given)


def _imported(point: EntryPoint) -> object:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the entry point {point.name} = {point.value} of group {GROUP} must name a module; "
            f"{error}; mend or uninstall that package"
        ) from None

"""The vendors whose files can be imported, and how files, lists of them and folders are read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from delever.data.files import SUFFIXES, name_of, read_file
from delever.data.layout import PLAIN, Layout, read_layout
from delever.data.stamps import StampForm, StampUnit
from delever.data.vendors.binance_archive import read_archive
from delever.data.vendors.charts import CHARTS
from delever.data.vendors.foreign import FileContents, FileDescription, Found, Vendor
from delever.data.vendors.freqtrade import read_freqtrade
from delever.data.vendors.yahoo import read_yahoo
from delever.errors import ConfigError, DataError, InputError, NotStoredError

VENDORS = (
    Vendor(
        name="binance-archive",
        reads="a zip of Binance's archive or a folder of them",
        read=read_archive,
        folders=True,
    ),
    *CHARTS,
    Vendor(name="freqtrade", reads="freqtrade's data/EXCHANGE", read=read_freqtrade, folders=True),
    Vendor(name="yahoo", reads="a CSV of Yahoo", read=read_yahoo),
)
"""Those that come with delever."""


def read_foreign(
    paths: Sequence[Path],
    vendor: str | None,
    said: FileDescription,
    *,
    stamp_unit: StampUnit | None = None,
    vendors: Iterable[Vendor] = (),
) -> FileContents:
    """Read files and folders in the layout of a vendor, one of `vendors` or of `VENDORS`.

    Without a vendor they are of the plain form, with one that ends in .toml of what that says. Of
    several files those that can be read are; the others are in `failed`.

    Raises ConfigError if there is no such vendor, or the description does not go with it;
    NotStoredError, SchemaError or InputError if there is one file and it cannot be read.
    """
    chosen = _chosen(vendor, stamp_unit, vendors)
    files: list[Path] = []
    left: list[str] = []
    for path in paths:
        if path.is_dir() and not chosen.folders:
            inside = sorted(path.iterdir())
            fits = [one for one in inside if one.name.lower().endswith(SUFFIXES)]
            files += fits
            left += [
                f"{name_of(one)}: not of {', '.join(SUFFIXES)}" for one in inside if one not in fits
            ]
        else:
            files.append(path)
    if not files:
        places = ", ".join(map(str, paths))
        raise NotStoredError(f"there is no file of {', '.join(SUFFIXES)} in {places}; give files")
    if len(files) == 1:
        only = chosen.read(files[0], said)
        return FileContents(found=only.found, left=(*left, *only.left), failed=only.failed)
    found: list[Found] = []
    failed: list[str] = []
    for path in files:
        try:
            one = chosen.read(path, said)
        except (DataError, InputError) as error:
            failed.append(str(error))
            continue
        found += one.found
        left += one.left
        failed += one.failed
    return FileContents(found=tuple(found), left=tuple(left), failed=tuple(failed))


def _chosen(name: str | None, unit: StampUnit | None, vendors: Iterable[Vendor]) -> Vendor:
    if name is None:
        return plain(PLAIN, unit)
    if unit is not None:
        raise ConfigError(f"--stamp-unit is for plain files; those of {name} say it themselves")
    if name.endswith(".toml"):
        return plain(read_layout(Path(name).expanduser()))
    known = {one.name: one for one in (*VENDORS, *vendors)}
    if name not in known:
        raise ConfigError(
            f"--from must be one of {', '.join(known)}, or a layout in TOML; got {name!r}"
        )
    return known[name]


def plain(layout: Layout, unit: StampUnit | None = None) -> Vendor:
    """Reader of the plain form, or of one that a layout describes."""

    def read(path: Path, said: FileDescription) -> FileContents:
        reference = said.reference()
        own = layout.stamps
        stamps = StampForm(
            unit=unit or own.unit, timezone=said.timezone or own.timezone, pattern=own.pattern
        )
        rows = read_file(
            path,
            reference.kind,
            said.timeframe,
            symbol=reference.symbol,
            venue=reference.venue,
            layout=replace(layout, stamps=stamps),
        )
        found = Found(
            reference=replace(reference, timeframe=rows.timeframe),
            frame=rows.frame,
            provenance={"file": rows.name, "sha256": rows.sha256},
            ignored=rows.ignored,
        )
        return FileContents(found=(found,))

    return Vendor(name="plain", reads=f"files of {', '.join(SUFFIXES)}", read=read)

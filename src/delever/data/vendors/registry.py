"""The vendors whose files can be imported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from delever.data.vendors.binance_archive import read_archive
from delever.data.vendors.foreign import FileContents, FileDescription, Vendor, one_set
from delever.data.vendors.freqtrade import read_freqtrade
from delever.data.vendors.vendor_csv import read_cryptodatadownload, read_yahoo
from delever.errors import ConfigError

VENDORS = (
    Vendor(
        name="binance-archive",
        reads="a zip of Binance's archive or a folder of them",
        read=one_set(read_archive),
    ),
    Vendor(
        name="cryptodatadownload",
        reads="a CSV of CryptoDataDownload",
        read=one_set(read_cryptodatadownload),
    ),
    Vendor(name="freqtrade", reads="freqtrade's data/EXCHANGE", read=read_freqtrade),
    Vendor(name="yahoo", reads="a CSV of Yahoo", read=one_set(read_yahoo)),
)
"""Those that come with delever, by name."""


def read_foreign(
    path: Path, vendor: str, description: FileDescription, *, vendors: Iterable[Vendor] = ()
) -> FileContents:
    """Read a file or a folder in the layout of a vendor, one of `vendors` or of `VENDORS`.

    Raises ConfigError if there is no such vendor; NotStoredError, SchemaError or InputError as the
    vendor's reader says.
    """
    known = {one.name: one for one in (*VENDORS, *vendors)}
    if vendor not in known:
        raise ConfigError(f"--from must be one of {', '.join(known)}; got {vendor!r}")
    return known[vendor].read(path, description)

"""Tables in text files: their encoding, their separator, their header, and where they were cut."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from delever.errors import SchemaError

SEPARATORS = (",", ";", "\t", "|")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that spreadsheets compute; exports write an apostrophe before it."""

UNDEFINED = ("", "nan", "NaN", "null")
"""Cells that say that there is no number."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """Rows of a text file, not read yet, under the names of its header."""

    names: tuple[str, ...]  # as written, without blanks around them
    body: bytes  # lines below the header, in UTF-8
    separator: str
    header_lines: int  # lines above the first row
    where: str  # the file's name, for messages

    def read(
        self, texts: Sequence[str], numbers: Sequence[str], *, decimal: str = "."
    ) -> pd.DataFrame:
        """Read columns as they stand and columns as numbers; other columns may hold anything.

        Raises SchemaError if a row has another number of cells than the header, a cell is no
        number, or the last row may have been cut.
        """
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        if not self.body:
            raise SchemaError(
                f"{self.where}: at least one row below the header is required; found none"
            )
        self._whole_end((*texts, *numbers))
        texts, numbers = list(dict.fromkeys(texts)), list(dict.fromkeys(numbers))
        # Names may repeat where nothing is read: columns go by their place.
        place = {name: str(self.names.index(name)) for name in (*texts, *numbers)}
        types = {place[name]: pa.string() for name in texts}
        types |= {place[name]: pa.float64() for name in numbers}
        try:
            table = arrow_csv.read_csv(
                io.BytesIO(self.body),
                read_options=arrow_csv.ReadOptions(
                    column_names=[str(place) for place in range(len(self.names))],
                    use_threads=False,
                    block_size=1 << 22,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.separator, ignore_empty_lines=False
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=types,
                    include_columns=list(types),
                    null_values=list(UNDEFINED),
                    strings_can_be_null=True,
                    decimal_point=decimal,
                ),
            )
        except pa.ArrowInvalid as error:
            raise SchemaError(f"{self.where}: {self._explain(str(error), decimal)}") from None
        frame: pd.DataFrame = table.to_pandas()
        return frame.set_axis([*texts, *numbers], axis=1)

    def _whole_end(self, wanted: Sequence[str]) -> None:
        """Refuse a last row that may have lost the end of a cell that is read.

        A line that ends is whole. One that does not is, where its last cell is quoted or of no use.
        """
        if self.body.endswith((b"\n", b"\r", b'"')) or self.names[-1] not in wanted:
            return
        rows = self.body.split(b"\n")
        line = rows[-1].decode()
        if line.count(self.separator) + 1 < len(self.names):
            return  # reading it says which cells are missing
        last = line.rpartition(self.separator)[2]
        raise SchemaError(
            f"{self.where}: the last line ({self.header_lines + len(rows)}) must end with a line "
            f"break; without one, {self.names[-1]} = {last[:40]!r} may have been cut; end the line "
            "if it is whole, otherwise remove it"
        )

    def _explain(self, message: str, decimal: str) -> str:
        """Say where pyarrow's CSV reader stopped in the words of this project."""
        cell = re.search(r"CSV column #(\d+): .*Row #(\d+): .*value '(.*)", message, re.DOTALL)
        if cell:
            column, row = self.names[int(cell[1])], int(cell[2])
            return (
                f"row {row} (line {row + self.header_lines}) has {column} = "
                f"{cell[3].rstrip(chr(39) + chr(10))[:40]!r}; a number such as 0{decimal}5, or an "
                "empty cell, is required; correct it or remove the column"
            )
        ragged = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message)
        if ragged:
            row = int(ragged[1])
            return (
                f"row {row} (line {row + self.header_lines}) must have {ragged[2]} cells as the "
                f"header does; got {ragged[3]}; correct or remove it"
            )
        return f"the file cannot be read as CSV ({message.splitlines()[0]}); correct it"


def text_of(data: bytes, where: str) -> str:
    """Text of a file in UTF-8, or in UTF-16 with its mark, without marks at its start.

    Raises SchemaError if it is neither; the message names the line.
    """
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(encoding).lstrip("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SchemaError(
            f"{where}: text in UTF-8 is required; line {line} holds {data[error.start :][:4]!r}, "
            "which is none; save it so, or fetch it again"
        ) from None
    if "\0" in text:
        line = text.partition("\0")[0].count("\n") + 1
        raise SchemaError(
            f"{where}: text in UTF-8 is required; line {line} holds a zero byte; save it so, or "
            "fetch it again"
        )
    return text


def open_text(
    data: bytes,
    where: str,
    *,
    is_header: Callable[[Sequence[str]], bool],
    names: Sequence[str] = (),
    separator: str | None = None,
    above: int = 0,
) -> TextTable:
    """Find the header of a file, or give it the `names` it has none of.

    The header is the first line that is not empty, or stands up to `above` lines below it. Where
    none is one by `is_header`, the first line is taken, for the message of whoever misses a column.

    Raises SchemaError if the file is empty or no text.
    """
    text = text_of(data, where)
    first = len(text) - len(text.lstrip("\r\n"))
    lines = [line.rstrip("\r") for line in text[first:].split("\n", 1 + above)[: 1 + above]]
    blank = text[:first].count("\n")
    if not text.strip() or not lines[0].replace("\t", " ").isprintable():
        got = "no readable text in its first line" if text.strip() else "an empty file"
        raise SchemaError(
            f"{where}: a text file with a header line is required; got {got}; save it so"
        )
    if names:
        return TextTable(
            names=tuple(names),
            body=_body(text[first:]),
            separator=separator or _separator(lines[0]),
            header_lines=blank,
            where=where,
        )
    tried = SEPARATORS if separator is None else (separator,)
    split = [
        (row, one, _cells(line, one, where)) for row, line in enumerate(lines) for one in tried
    ]
    row, chosen, cells = next(
        (one for one in split if is_header(one[2])),
        max(split[: len(tried)], key=lambda one: len(one[2])),
    )
    body = text[first:]
    for _ in range(row + 1):
        body = body.partition("\n")[2]
    return TextTable(
        names=tuple(cells),
        body=_body(body),
        separator=chosen,
        header_lines=blank + row + 1,
        where=where,
    )


def _body(text: str) -> bytes:
    stripped = text.rstrip("\r\n")
    return f"{stripped}\n".encode() if len(stripped) < len(text) and stripped else stripped.encode()


def _separator(line: str) -> str:
    return max(SEPARATORS, key=line.count)


def _cells(line: str, separator: str, where: str) -> list[str]:
    try:
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error as error:
        raise SchemaError(f"{where}: the header cannot be read ({error}); correct it") from None
    return [
        cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA) else cell for cell in cells
    ]

"""Reads CSV by strict rules, and names the line of what it refuses. Knows no table of ours.

A file from which a record could be lost, or could take another's values, is refused.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookalike.files import FileError

# Of one field; the csv module's own 131,072 are fewer than some descriptions have.
_MOST_CHARACTERS = (1 << 31) - 1

# A quote opens a quoted field only where a field begins; elsewhere it stands for itself (19" TV).
_QUOTED_FIELD = re.compile(r'(?:^|(?<=[,\n]))"[^"]*(?:""[^"]*)*"')
_FIELD = re.compile(r'(?:"[^"]*(?:""[^"]*)*"|(?!")[^,\n]*)(?:[,\n]|\Z)')
_QUOTING = 'a field that begins with a quote is written like """Best"" lamp"'

_OTHER_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
# The longer marks first: UTF-32's begins with UTF-16's.
_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_AS_UTF_8 = "save it as UTF-8 (in Excel: CSV UTF-8)"


@dataclass(frozen=True)
class Record:
    """A record.

    Attributes:
        line: The line on which it begins, from 1.
        last: The one on which it ends.
        fields: Its fields of the columns asked for.
    """

    line: int
    last: int
    fields: Sequence[str]


def read_records(
    file: Path, columns: Sequence[str], is_whole: Callable[[Sequence[str]], bool]
) -> Iterator[Record]:
    """Yields the records of a table; only a line feed ends one.

    Args:
        file: UTF-8, with commas, and a header.
        columns: The columns to read; an absent field at a record's end is empty.
        is_whole: Says of these fields whether they can only be a record, and no part of a text.

    Raises:
        FileError: It cannot be read, lacks a column, or where a record ends is in doubt.
    """
    text = _text(file)
    lines = text.split("\n")
    header, *records = _parsed(file, lines, columns)
    names = header.fields
    if absent := [column for column in columns if column not in names]:
        have = ", ".join(name for name in names if name)
        raise FileError(f"{file}: column '{absent[0]}' is missing; it has {have}")
    # Outside quotes every line feed ends a record: a check that no record was split or swallowed.
    counted = sum(1 for line in _QUOTED_FIELD.sub("", text).split("\n") if line.strip()) - 1
    if len(records) != counted:
        raise FileError(f"{file}: {len(records)} rows parsed, but {counted} records counted")
    places = [names.index(column) for column in columns]

    def chosen(fields: Sequence[str]) -> list[str]:
        return [fields[place] if place < len(fields) else "" for place in places]

    for record in records:
        if len(record.fields) > len(names):
            raise FileError(
                f"{file}: line {record.line}: the record has {len(record.fields)} fields, the "
                f"header {len(names)}; a field with a comma in it must be in quotes"
            )
        for number in range(record.line + 1, record.last + 1):
            alone = _read_alone(lines[number - 1])
            if len(alone) == len(names) and is_whole(chosen(alone)):
                raise FileError(
                    f"{file}: line {record.line}: a quote opens a field that goes on to line "
                    f"{record.last}, but line {number} is a record by itself; {_QUOTING}"
                )
        fields = [field.replace("\0", "\r") for field in chosen(record.fields)]
        yield Record(record.line, record.last, fields)


def _parsed(file: Path, lines: Sequence[str], columns: Sequence[str]) -> list[Record]:
    """Returns the records that are not blank, the header first, with all of their fields."""
    expected = f"expected columns {', '.join(columns)}"
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise FileError(f"{file}: is empty; {expected}")
    if other := _other_separator(first, columns):
        raise FileError(
            f"{file}: columns are separated by {other}; save it with commas, and fields that "
            "have commas in quotes"
        )
    csv.field_size_limit(_MOST_CHARACTERS)
    # A bare carriage return stands inside a field, but the csv module would end the record there.
    reader = csv.reader((line.replace("\r", "\0") + "\n" for line in lines), strict=True)
    records = []
    begin = 1
    try:
        for fields in reader:
            if len(fields) > 1 or "".join(fields).strip():
                records.append(Record(begin, reader.line_num, fields))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise FileError(f"{file}: {_stray_quote(lines, begin) or error}") from None
    return records


def _stray_quote(lines: Sequence[str], begin: int) -> str:
    """Returns where the first quote that opens no proper field is; nothing if there is none."""
    text = "\n".join(lines[begin - 1 :])
    place = _open_quote(text)
    if place < 0:
        return ""
    line = begin + text.count("\n", 0, place)
    return f"line {line}: a quote opens a field there, but none closes it at its end; {_QUOTING}"


def _read_alone(line: str) -> list[str]:
    """Returns a line's fields as if it were alone: a quote that it leaves open is a letter."""
    place = _open_quote(line)
    if place >= 0:
        line = line[:place] + line[place + 1 :]
    return next(csv.reader([line.replace("\r", "\0")]), [])


def _open_quote(text: str) -> int:
    """Returns the place of the first quote that opens a field and is not closed; -1 for none."""
    place = 0
    while place < len(text):
        if not (field := _FIELD.match(text, place)):
            return place
        place = field.end()
    return -1


def _other_separator(header: str, columns: Sequence[str]) -> str:
    """Returns the name of what separates columns in place of commas, if something does."""
    if header.lower().startswith("sep="):
        return f"'{header[4:].strip()}', as its first line says"
    for separator, name in _OTHER_SEPARATORS.items():
        names = {each.strip().strip('"') for each in header.split(separator)}
        if len(names) > 1 and names.issuperset(columns):
            return name
    return ""


def _text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise FileError(f"{file}: cannot be read: {error.strerror or error}") from None
    for mark, encoding in _OTHER_ENCODINGS:
        if data.startswith(mark):
            raise FileError(f"{file}: is written in {encoding}, not UTF-8; {_AS_UTF_8}")
    if b"\0" in data[:4]:  # the header's first letters, two bytes or four each
        raise FileError(f"{file}: is not written in UTF-8, but perhaps in UTF-16; {_AS_UTF_8}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        letter = data[error.start : error.start + 1]
        raise FileError(
            f"{file}: line {line}: byte {letter.hex()} is not UTF-8, but perhaps Windows-1252, "
            f"where it is '{letter.decode('cp1252', 'replace')}'; {_AS_UTF_8}"
        ) from None
    if "\n" not in text.rstrip() and "\r" in text.rstrip():
        raise FileError(f"{file}: its lines end in carriage returns; save it with line feeds")
    if text.partition("\n")[0].endswith("\r"):
        text = text.replace("\r\n", "\n")  # saved anew on Windows
    return text.replace("\0", " ")

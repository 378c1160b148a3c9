"""A suite's file, or a log of queries, line by line: text in UTF-8, and never a longer line or a larger suite than there can be."""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol

from scripts.errors import UsageError

# A query with all its metadata is far below the first, and the half million queries of MS MARCO below the second; a corpus is not.
MAX_LINE_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 28

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"


class File(Protocol):
    """A file on disk or in an archive: pathlib.Path and zipfile.Path are such."""

    name: str
    suffix: str

    def open(self, mode: str) -> IO[bytes]: ...


def lines(file: File) -> Iterator[tuple[int, str]]:
    """Numbers from 1, and lines with their ends; a byte order mark is left out. Raises UsageError on what is too large or not text in UTF-8."""
    return _lines(file, MAX_FILE_BYTES)


def endless_lines(file: File) -> Iterator[tuple[int, str]]:
    """As `lines`, of a file of any size: for who stops at what is enough."""
    return _lines(file, math.inf)


def _lines(file: File, bound: float) -> Iterator[tuple[int, str]]:
    total = number = 0
    with _opened(file) as stream:
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            total += len(line)
            if number == 1:
                line = _without_mark(line, file)
            # First, because what is not text has lines of any length.
            if b"\0" in line:
                raise UsageError(f"{file}, line {number}: there is a zero byte, so this is not a text file.")
            text = _decoded(line, file, f", line {number}")
            if len(line) > MAX_LINE_BYTES:
                raise UsageError(f"{file}, line {number} is longer than {MAX_LINE_BYTES:,} bytes.")
            _refuse_beyond(bound, total, file)
            yield number, text


def whole(file: File) -> str:
    """All of it at once, for what is not made of lines; errors as of `lines`."""
    with _opened(file) as stream:
        content = stream.read(MAX_FILE_BYTES + 1)
    _refuse_beyond(MAX_FILE_BYTES, len(content), file)
    return _decoded(_without_mark(content, file), file, "")


@contextmanager
def _opened(file: File) -> Iterator[IO[bytes]]:
    try:
        with file.open("rb") as stream:
            yield stream
    # ValueError: a name that no file can have, with a zero byte or half a surrogate pair.
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    # What archives raise: damaged, or (a RuntimeError) with a password.
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError, KeyError) as error:
        raise UsageError(f"{file} cannot be read from its archive: {error}.") from None


def _refuse_beyond(bound: float, size: int, file: File) -> None:
    if size > bound:
        raise UsageError(f"{file} is larger than the {MAX_FILE_BYTES >> 20} MiB that queries or judgments can have.", hint="Is it the corpus?")


def _without_mark(content: bytes, file: File) -> bytes:
    if content.startswith(_UTF16):
        raise UsageError(f"{file} is text in UTF-16.", hint="Save it as UTF-8.")
    return content.removeprefix(_BOM)


def _decoded(content: bytes, file: File, place: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        if error.end == len(content) > MAX_LINE_BYTES:  # the line was cut within a character
            return content[: error.start].decode()
        raise UsageError(f"{file}{place}: byte {error.start + 1} is not UTF-8.", hint="Save it as UTF-8.") from None

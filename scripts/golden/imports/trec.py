"""TREC: topics, and qrels with four columns."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from scripts.errors import UsageError
from scripts.golden.formats import judgments
from scripts.golden.imports.collecting import Collecting, Imported
from scripts.golden.lines import File, lines, whole
from scripts.golden.query import Query

_TOPIC = re.compile(r"<top>(.*?)(?:</top>|(?=<top>)|\Z)", re.DOTALL | re.IGNORECASE)
# The classic topics have no closing tags: a field ends where the next one begins.
_NUMBER = re.compile(r"<num>\s*(?:Number:)?([^<]*)", re.IGNORECASE)
_TITLE = re.compile(r"<title>\s*(?:Topic:)?([^<]*)", re.IGNORECASE)


def read_trec(topics: Path, qrels: Path) -> Imported:
    """The topics that the qrels judge; a topic's title is the query. Raises UsageError naming the file and the line."""
    collecting = Collecting(f"{topics.name} and {qrels.name} (TREC)")
    for judgment in judgments(qrels):
        collecting.judge(judgment.query, judgment.document, judgment.grade, f"line {judgment.line}")
    for query in _topics(topics):
        collecting.ask(Query(collecting.judged_as(query.id), query.text), f"line {query.line}")
    return collecting.imported()


def _topics(file: File) -> Iterator[Query]:
    first = next((text.strip().lower() for _, text in lines(file) if text.strip()), "")
    return _marked_up(file) if first.startswith("<") else _tabbed(file)


def _tabbed(file: File) -> Iterator[Query]:
    """id, tab, text; no header."""
    for number, text in lines(file):
        if text.strip():
            id, tab, query = text.rstrip("\r\n").partition("\t")
            if not tab or not id.strip():
                raise UsageError(f"{file}, line {number}: expected an id, a tab and the query, or topics in <top> with <num> and <title>.")
            yield Query(id.strip(), query.strip(), line=number)


def _marked_up(file: File) -> Iterator[Query]:
    text = whole(file)
    if "<top>" not in text.lower():
        raise UsageError(f"{file} has no topics in <top>.", hint="Write others, such as those in XML, as lines of id, tab and query.")
    for topic in _TOPIC.finditer(text):
        line = text.count("\n", 0, topic.start()) + 1
        number, title = _NUMBER.search(topic[1]), _TITLE.search(topic[1])
        if not number or not title:
            raise UsageError(f"{file}, line {line}: this topic has no {'<title>' if number else '<num>'}.")
        yield Query(number[1].strip(), " ".join(html.unescape(title[1]).split()), line=line)

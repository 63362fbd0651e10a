"""The demo's report: Markdown from what the inspections found."""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from quarterdeck._text import sanitize
from quarterdeck_server.demo.analysis import Function
from quarterdeck_server.demo.work import Inspected

TOP = 20
"""Rows of a ranking."""

_TODOS = 100
_MARKUP = re.compile(r"([\\`*_\[\]<>|#~$])")


@dataclass(frozen=True)
class Failed:
    """A file that could not be inspected.

    Attributes:
        path: The file.
        attempts: How often it was tried.
        error: What the last attempt said.
    """

    path: str
    attempts: int
    error: str


def markdown(
    folder: str, files: Sequence[Inspected], failed: Sequence[Failed], skipped: int
) -> str:
    """The report.

    Args:
        folder: What was looked through.
        files: What was found in each file.
        failed: Files without a finding.
        skipped: How many tracked files are no source code.
    """
    now = dt.datetime.now(dt.UTC).astimezone()
    lines = sum(file.facts.lines for file in files)
    functions = sum(file.facts.function_count for file in files)
    sections = [
        [f"# {_text(folder)}", "", f"Inspected by a fleet of agents on {now:%Y-%m-%d %H:%M %Z}."],
        [
            f"- {len(files):,} source files with {lines:,} lines and {functions:,} functions",
            f"- {len(failed):,} files could not be parsed",
            f"- {skipped:,} tracked files are no source code",
        ],
        _section("Languages", _languages(files)),
        _section("Most complex functions", _functions(files, by_length=False)),
        _section("Longest functions", _functions(files, by_length=True)),
        _section("Hot files: changed often, and complex", _hot(files)),
        _section("Longest unchanged", _old(files)),
        _section("Work left", _todos(files)),
        _section("Files that failed", _failed(failed)),
        _section("All files", _all(files)),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _section(title: str, body: list[str]) -> list[str]:
    return [f"## {title}", "", *body] if body else []


def _table(headers: str, rows: Iterable[Sequence[object]]) -> list[str]:
    """A table; a header that begins with `#` is one of numbers."""
    names = headers.split("|")
    found = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    rule = "|".join("--:" if name.startswith("#") else ":--" for name in names)
    head = f"| {' | '.join(name.removeprefix('#') for name in names)} |"
    return [head, f"|{rule}|", *found] if found else []


def _languages(files: Sequence[Inspected]) -> list[str]:
    by_language: dict[str, list[Inspected]] = defaultdict(list)
    for file in files:
        by_language[file.language].append(file)

    def row(language: str) -> tuple[object, ...]:
        group = by_language[language]
        facts = [file.facts for file in group]
        count = sum(fact.function_count for fact in facts)
        complexity = sum(fact.complexity for fact in facts)
        worst = max((fact.functions[0].complexity for fact in facts if fact.functions), default=0)
        return (
            language,
            len(group),
            sum(fact.lines for fact in facts),
            sum(fact.blank for fact in facts),
            count,
            f"{complexity / count:.1f}" if count else "",
            worst or "",
            sum(fact.todo_count for fact in facts),
        )

    order = sorted(by_language, key=lambda name: -sum(f.facts.lines for f in by_language[name]))
    headers = "Language|#Files|#Lines|#Blank|#Functions|#Mean complexity|#Worst|#Work left"
    return _table(headers, map(row, order))


def _functions(files: Sequence[Inspected], *, by_length: bool) -> list[str]:
    def rank(item: tuple[Inspected, Function]) -> tuple[int, int]:
        function = item[1]
        pair = (function.lines, function.complexity)
        return pair if by_length else (pair[1], pair[0])

    every = ((file, function) for file in files for function in file.facts.functions)
    top = sorted(every, key=rank, reverse=True)[:TOP]
    return _table(
        "Function|File|#Line|#Lines|#Complexity",
        ((f.name, file.path, f.line, f.lines, f.complexity) for file, f in top),
    )


def _hot(files: Sequence[Inspected]) -> list[str]:
    known = [(file, file.history) for file in files if file.history is not None]
    known.sort(key=lambda pair: -pair[1].commits * max(pair[0].facts.complexity, 1))
    return _table(
        "File|#Commits|#Added|#Deleted|#Complexity|Last change",
        (
            (
                file.path,
                history.commits,
                history.added,
                history.deleted,
                file.facts.complexity,
                _day(history.last),
            )
            for file, history in known[:TOP]
        ),
    )


def _old(files: Sequence[Inspected]) -> list[str]:
    known = [(file, file.history) for file in files if file.history is not None]
    known.sort(key=lambda pair: pair[1].last)
    return _table(
        "File|Last change|First known change|#Commits|#Lines",
        (
            (file.path, _day(h.last), _day(h.first), h.commits, file.facts.lines)
            for file, h in known[:TOP]
        ),
    )


def _todos(files: Sequence[Inspected]) -> list[str]:
    total = sum(file.facts.todo_count for file in files)
    notes = ((file, todo) for file in files for todo in file.facts.todos)
    shown = [
        f"- {_text(file.path)}:{todo.line}: {_text(todo.text)}"
        for (file, todo), _ in zip(notes, range(_TODOS), strict=False)
    ]
    more = [f"- and {total - len(shown):,} more"] if total > len(shown) else []
    return shown + more


def _failed(failed: Sequence[Failed]) -> list[str]:
    return _table(
        "File|#Attempts|Error", ((item.path, item.attempts, item.error) for item in failed)
    )


def _all(files: Sequence[Inspected]) -> list[str]:
    return _table("File|Language|#Lines|#Functions|#Complexity|#Work left", _rows(files))


def _rows(files: Sequence[Inspected]) -> Iterator[tuple[object, ...]]:
    for file in sorted(files, key=lambda file: file.path):
        facts = file.facts
        counted = facts.function_count if facts.parsed else "too large"
        yield file.path, file.language, facts.lines, counted, facts.complexity, facts.todo_count


def _day(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d")


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else _text(str(value))


def _text(text: str) -> str:
    """A text that shows as it is: files may be named like markup, and errors quote them."""
    return _MARKUP.sub(r"\\\1", sanitize(text, limit=400))

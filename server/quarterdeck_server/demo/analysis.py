"""What can be said about one source file: its size, its functions, what is left to do in it.

Python is taken apart with its own parser, so that a file which Python would refuse is refused
here too. Other languages go through lizard, which finds functions without a full parser.
"""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import lizard

from quarterdeck_server.demo.languages import WITHOUT_FUNCTIONS

LARGEST_PARSED = 2 * 1024 * 1024
"""Bytes; larger files are generated, as a rule, and are counted but not parsed."""

KEPT_FUNCTIONS = 100
"""Functions of one file that are kept, the most complex first; all of them are counted."""

KEPT_TODOS = 50
_TODO_LENGTH = 160
_TODO = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b[:\s(]")
_BRANCHES = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.match_case,
    ast.comprehension,
)  # fmt: skip
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class UnreadableError(ValueError):
    """The file is not text in the encoding that its language prescribes."""


@dataclass(frozen=True)
class Function:
    """One function of a file.

    Attributes:
        name: With the class or function that it stands in, where that is known.
        line: Its first line, counted from 1.
        lines: How many lines it has.
        complexity: Its cyclomatic complexity: one more than its decisions.
    """

    name: str
    line: int
    lines: int
    complexity: int


@dataclass(frozen=True)
class Todo:
    """A note that something is left to do."""

    line: int
    text: str


@dataclass(frozen=True)
class FileFacts:
    """What was found in a file.

    Attributes:
        lines: All of them.
        blank: Those without anything but white space.
        function_count: Functions in all.
        complexity: Sum over all functions.
        functions: The most complex ones.
        todo_count: Notes in all.
        todos: The first ones.
        parsed: False of a file that is too large to be taken apart.
    """

    lines: int = 0
    blank: int = 0
    function_count: int = 0
    complexity: int = 0
    functions: list[Function] = field(default_factory=list)
    todo_count: int = 0
    todos: list[Todo] = field(default_factory=list)
    parsed: bool = True


def analyse(path: str, data: bytes, language: str) -> FileFacts:
    """What is in a file.

    Args:
        path: Its name, for the choice of a parser and for error messages.
        data: Its content.
        language: As `language_of` says.

    Raises:
        UnreadableError: not text.
        SyntaxError: not Python, of a file that should be.
    """
    text = _decode(data, language)
    lines = text.splitlines()
    found = [
        Todo(number, line.strip()[:_TODO_LENGTH])
        for number, line in enumerate(lines, 1)
        if _TODO.search(line + " ")
    ]
    parsed = len(data) <= LARGEST_PARSED
    functions = _functions(path, text, language) if parsed else []
    functions.sort(key=lambda function: (-function.complexity, -function.lines, function.line))
    return FileFacts(
        lines=len(lines),
        blank=sum(not line.strip() for line in lines),
        function_count=len(functions),
        complexity=sum(function.complexity for function in functions),
        functions=functions[:KEPT_FUNCTIONS],
        todo_count=len(found),
        todos=found[:KEPT_TODOS],
        parsed=parsed,
    )


def _decode(data: bytes, language: str) -> str:
    encoding = "utf-8-sig"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif language == "Python":
        # A SyntaxError for an unknown encoding: what Python itself would say.
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableError(f"byte {error.start} is not {encoding}: {error.reason}") from None


def _functions(path: str, text: str, language: str) -> list[Function]:
    if language in WITHOUT_FUNCTIONS:
        return []
    if language == "Python":
        with warnings.catch_warnings():
            # What a file's author is warned about is no concern of its reader.
            warnings.simplefilter("ignore")
            return list(_python_functions(ast.parse(text, path), ""))
    return [
        Function(
            name=found.name,
            line=found.start_line,
            lines=found.end_line - found.start_line + 1,
            complexity=found.cyclomatic_complexity,
        )
        for found in lizard.analyze_file.analyze_source_code(path, text).function_list
    ]


def _python_functions(tree: ast.AST, prefix: str) -> Iterator[Function]:
    """Every function under `tree`, nested ones and methods included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, _FUNCTIONS):
            end = node.end_lineno or node.lineno
            yield Function(
                name=f"{prefix}{node.name}",
                line=node.lineno,
                lines=end - node.lineno + 1,
                complexity=1 + _decisions(node),
            )
        inside = f"{prefix}{node.name}." if isinstance(node, _SCOPES) else prefix
        yield from _python_functions(node, inside)


def _decisions(function: ast.AST) -> int:
    """Branches of a function without those of the functions in it."""
    count = 0
    for node in ast.iter_child_nodes(function):
        if isinstance(node, _FUNCTIONS):
            continue
        if isinstance(node, _BRANCHES):
            count += 1
        if isinstance(node, ast.comprehension):
            count += len(node.ifs)
        if isinstance(node, ast.BoolOp):
            count += len(node.values) - 1
        count += _decisions(node)
    return count

"""Which files are source code, and of which language: by name alone."""

from __future__ import annotations

from pathlib import PurePosixPath

_SUFFIXES = {
    "C": "c h",
    "C#": "cs",
    "C++": "cc cpp cxx hh hpp hxx",
    "CSS": "css less scss",
    "Erlang": "erl",
    "Fortran": "f90 f95 f03",
    "Go": "go",
    "HTML": "htm html",
    "Java": "java",
    "JavaScript": "cjs js jsx mjs",
    "Kotlin": "kt kts",
    "Lua": "lua",
    "Objective-C": "m mm",
    "PHP": "php",
    "Perl": "pl pm",
    "Protocol Buffers": "proto",
    "Python": "py pyi",
    "R": "r",
    "Ruby": "rb",
    "Rust": "rs",
    "SQL": "sql",
    "Scala": "scala",
    "Shell": "bash sh zsh",
    "Solidity": "sol",
    "Swift": "swift",
    "TypeScript": "cts mts ts tsx",
    "Vue": "vue",
    "Zig": "zig",
}
_BY_SUFFIX = {
    f".{suffix}": language
    for language, suffixes in _SUFFIXES.items()
    for suffix in suffixes.split()
}
_BY_NAME = {"Dockerfile": "Docker", "GNUmakefile": "Make", "Makefile": "Make", "makefile": "Make"}

WITHOUT_FUNCTIONS = frozenset({"CSS", "Docker", "HTML", "Make", "Protocol Buffers", "SQL", "Shell"})
"""Languages whose files are counted and searched, but not taken apart into functions."""


def language_of(path: str) -> str | None:
    """The language of a file, or None for one that is no source code."""
    name = PurePosixPath(path)
    return _BY_NAME.get(name.name) or _BY_SUFFIX.get(name.suffix.lower())

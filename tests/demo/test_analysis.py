from __future__ import annotations

import pytest

from quarterdeck_server.demo import analysis
from quarterdeck_server.demo.analysis import Function, UnreadableError, analyse
from quarterdeck_server.demo.languages import language_of

PYTHON = '''"""Doc."""


class Shop:
    def sell(self, item, count):
        if item and count > 0 or item is None:
            for n in range(count):
                print(n)
        return [x for x in item if x if x > 1]


async def outer():
    def inner():
        while True:
            try:
                pass
            except ValueError:
                return 1 if 2 else 3
    return inner
'''


def test_python_functions_have_their_length_and_complexity() -> None:
    facts = analyse("shop.py", PYTHON.encode(), "Python")
    assert facts.functions == [
        Function("Shop.sell", 5, 5, 8),
        Function("outer.inner", 13, 6, 4),
        Function("outer", 12, 8, 1),
    ]
    assert (facts.lines, facts.blank) == (19, 4)
    assert (facts.function_count, facts.complexity) == (3, 13)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("a.c", "int f(int a) {\n  if (a) { return 1; }\n  return 2;\n}\n"),
        ("a.go", "package a\n\nfunc f(a bool) int {\n\tif a { return 1 }\n\treturn 2\n}\n"),
        ("a.rs", "fn f(a: bool) -> i32 {\n    if a { return 1; }\n    2\n}\n"),
        ("a.ts", "function f(a: number) {\n  if (a) { return 1 }\n  return 2\n}\n"),
        (
            "a.java",
            "class A {\n  int f(boolean a) {\n    if (a) return 1;\n    return 2;\n  }\n}\n",
        ),
        ("a.rb", "def f(a)\n  if a\n    return 1\n  end\nend\n"),
    ],
)
def test_functions_of_other_languages_are_found(path: str, source: str) -> None:
    language = language_of(path)
    assert language is not None
    (function,) = analyse(path, source.encode(), language).functions
    assert function.name.endswith("f")
    assert function.complexity == 2
    assert function.lines >= 4


def test_a_file_that_python_would_refuse_is_refused() -> None:
    with pytest.raises(SyntaxError, match=r"broken\.py"):
        analyse("broken.py", b"def f(:\n", "Python")


@pytest.mark.parametrize(
    ("data", "language"), [(b"\xff\xfe\xfa", "Go"), (b"x = '\xe9'\n", "Python")]
)
def test_a_file_that_is_no_text_is_refused(data: bytes, language: str) -> None:
    with pytest.raises((UnreadableError, SyntaxError)):
        analyse("file", data, language)


def test_python_in_its_declared_encoding_is_read() -> None:
    data = "# coding: latin-1\nx = 'é'\n".encode("latin-1")
    assert analyse("old.py", data, "Python").lines == 2


def test_a_byte_order_mark_is_no_error() -> None:
    assert analyse("a.js", "var a = 1\n".encode("utf-16"), "JavaScript").lines == 1
    assert analyse("a.py", b"\xef\xbb\xbfx = 1\n", "Python").lines == 1


def test_notes_of_work_left_are_found_with_their_lines() -> None:
    source = b"# TODO: one\nx = 1  # FIXME(me) two\nTODOS = 1\n# XXX\n"
    facts = analyse("a.py", source, "Python")
    assert [todo.line for todo in facts.todos] == [1, 2, 4]
    assert facts.todos[0].text == "# TODO: one"


def test_what_is_kept_of_a_file_is_bounded() -> None:
    source = "".join(f"def f{n}(): pass  # TODO: {'x' * 500}\n" for n in range(300))
    facts = analyse("a.py", source.encode(), "Python")
    assert (facts.function_count, len(facts.functions)) == (300, analysis.KEPT_FUNCTIONS)
    assert (facts.todo_count, len(facts.todos)) == (300, analysis.KEPT_TODOS)
    assert max(len(todo.text) for todo in facts.todos) < 200


def test_a_very_large_file_is_counted_but_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "LARGEST_PARSED", 10)
    facts = analyse("a.py", b"def f(:\n" * 10, "Python")
    assert (facts.lines, facts.parsed, facts.functions) == (10, False, [])


SUFFIXES = (
    *("c", "cpp", "cs", "go", "java", "js", "kt", "lua", "m", "php"),
    *("pl", "r", "rb", "rs", "scala", "swift", "ts", "vue", "zig"),
)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nonsense_in_any_language_is_survived(suffix: str) -> None:
    language = language_of(f"a.{suffix}")
    assert language is not None
    for nonsense in ("", "{{{ ((( [[[", "}}}))) \x00 fn f( class", "'\"`/*"):
        analyse(f"a.{suffix}", nonsense.encode(), language)


def test_languages_go_by_name() -> None:
    assert language_of("src/Main.JAVA") == "Java"
    assert language_of("deploy/Dockerfile") == "Docker"
    assert language_of("README.md") is None
    assert language_of("LICENSE") is None

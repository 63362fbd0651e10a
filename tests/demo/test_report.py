from __future__ import annotations

from quarterdeck_server.demo.analysis import FileFacts, Function, Todo
from quarterdeck_server.demo.report import Failed, markdown
from quarterdeck_server.demo.repository import History
from quarterdeck_server.demo.work import Inspected

FACTS = FileFacts(
    lines=1200,
    blank=100,
    function_count=2,
    complexity=12,
    functions=[Function("worst", 10, 40, 11), Function("long", 60, 90, 1)],
    todo_count=2,
    todos=[Todo(3, "# TODO: this")],
)


def test_the_report_names_every_file_and_every_failure() -> None:
    files = [Inspected(f"src/f{n}.py", "Python", 10) for n in range(50)]
    text = markdown("/repo", files, [Failed("bad.py", 3, "SyntaxError: invalid")], 7)
    assert all(f"| src/f{n}.py | Python |" in text for n in range(50))
    assert "| bad.py | 3 | SyntaxError: invalid |" in text
    assert "7 tracked files are no source code" in text


def test_rankings_put_the_worst_first() -> None:
    history = History(commits=9, added=5, deleted=4, first=0, last=86_400)
    text = markdown("/repo", [Inspected("a.py", "Python", 10, FACTS, history)], [], 0)
    complex_part, long_part = text.split("## Longest functions")
    assert complex_part.index("| worst |") < complex_part.index("| long |")
    assert long_part.index("| long |") < long_part.index("| worst |")
    assert "| Python | 1 | 1,200 | 100 | 2 | 6.0 | 11 | 2 |" in text
    assert "| a.py | 9 | 5 | 4 | 12 | 1970-01-02 |" in text
    assert "- a.py:3: \\# TODO: this" in text
    assert "- and 1 more" in text


def test_a_name_made_of_markup_stays_a_name() -> None:
    hostile = "a|b\n[x](http://e) <img> `c` \x1b[31m.py"
    text = markdown("/repo", [Inspected(hostile, "Python", 1)], [Failed(hostile, 1, hostile)], 0)
    shown = r"a\|b \[x\](http://e) \<img\> \`c\` .py"
    assert f"| {shown} | 1 | {shown} |" in text
    assert "\x1b" not in text


def test_nothing_to_report_is_a_report() -> None:
    assert "0 source files" in markdown("/repo", [], [], 0)

"""A regular expression search that takes time linear in the text, whatever the pattern.

Python's ``re`` backtracks: ``(a|a)*b`` or ``a*a*a*b`` can keep the server busy for hours, and
a filter is text from outside. So a filter's pattern becomes a nondeterministic automaton
(Thompson's construction) that is run as a deterministic one whose states are made when they
are first reached and kept while they are few. A search answers yes or no, nothing else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from quarterdeck_server.engine.filters.regex_syntax import (
    Assertion,
    CharSet,
    Choice,
    Node,
    RegexError,
    Repeat,
    Sequence,
    is_word,
    parse_regex,
)

MAX_TEXT: Final = 4_096
_MAX_AUTOMATON: Final = 250
_MAX_KEPT: Final = 20_000

_START, _AFTER_WORD, _AFTER_OTHER = range(3)
_END: Final = 0


class _Automaton:
    """The nondeterministic automaton; state 0 is the accepting one."""

    def __init__(self, node: Node) -> None:
        self.takes: list[tuple[CharSet, int] | None] = []
        self.goes: list[tuple[tuple[Assertion | None, int], ...]] = []
        self.has_word_test = False
        self._add(None)
        self.entry = self._build(node, _END)

    def _add(self, takes: tuple[CharSet, int] | None) -> int:
        if len(self.takes) >= _MAX_AUTOMATON:
            raise RegexError("the expression is too large; use fewer or smaller counts", 0)
        self.takes.append(takes)
        self.goes.append(())
        return len(self.takes) - 1

    def _fork(self, *targets: int) -> int:
        state = self._add(None)
        self.goes[state] = tuple((None, target) for target in targets)
        return state

    def _build(self, node: Node, then: int) -> int:
        match node:
            case CharSet():
                return self._add((node, then))
            case Assertion():
                self.has_word_test |= node is Assertion.WORD
                state = self._add(None)
                self.goes[state] = ((node, then),)
                return state
            case Sequence():
                # The extra state makes even an empty item cost one, so that nested counts
                # of nothing meet the size limit too.
                state = self._fork(then)
                for item in reversed(node.items):
                    state = self._build(item, state)
                return state
            case Choice():
                return self._fork(*[self._build(option, then) for option in node.options])
            case Repeat():
                return self._build_repeat(node, then)

    def _build_repeat(self, node: Repeat, then: int) -> int:
        if node.high is None:
            state = self._add(None)
            self.goes[state] = ((None, self._build(node.item, state)), (None, then))
        else:
            state = then
            for _ in range(node.high - node.low):
                state = self._fork(self._build(node.item, state), then)
        for _ in range(node.low):
            state = self._build(node.item, state)
        return state

    def reach(self, states: frozenset[int], before: int, ch: str | None) -> set[int]:
        """The states reached without a character, between ``before`` and ``ch``."""
        word = before == _AFTER_WORD
        holds = {
            None: True,
            Assertion.START: before == _START,
            Assertion.END: ch is None,
            Assertion.WORD: word is not (ch is not None and is_word(ch)),
        }
        reached: set[int] = set()
        open_states = [*states, self.entry]
        while open_states:
            state = open_states.pop()
            if state not in reached:
                reached.add(state)
                open_states += [to for test, to in self.goes[state] if holds[test]]
        return reached


class _State(dict[str, "_State | None"]):
    """A deterministic state: the next one by character, None where the search has matched."""

    __slots__ = ("_final", "before", "machine", "states")

    def __init__(self, machine: _Machine, states: frozenset[int], before: int) -> None:
        super().__init__()
        self.machine = machine
        self.states = states
        self.before = before
        self._final: bool | None = None

    @property
    def final(self) -> bool:
        """Whether a text that ends here matches."""
        if self._final is None:
            reached = self.machine.automaton.reach(self.states, self.before, None)
            self._final = _END in reached
        return self._final

    def __missing__(self, ch: str) -> _State | None:
        machine = self.machine
        automaton = machine.automaton
        reached = automaton.reach(self.states, self.before, ch)
        following: _State | None = None
        if _END not in reached:
            arcs = [arc for state in reached if (arc := automaton.takes[state]) is not None]
            targets = frozenset(to for chars, to in arcs if chars.has(ch))
            word = automaton.has_word_test and is_word(ch)
            following = machine.state(targets, _AFTER_WORD if word else _AFTER_OTHER)
        machine.keep(self, ch, following)
        return following


class _Machine:
    """The deterministic states made so far; forgets them all when there are too many."""

    def __init__(self, node: Node) -> None:
        self.automaton = _Automaton(node)
        self._kept = 0
        self._states: dict[tuple[frozenset[int], int], _State] = {}

    def state(self, states: frozenset[int], before: int) -> _State:
        key = (states, before)
        found = self._states.get(key)
        if found is None:
            found = self._states[key] = _State(self, states, before)
            self._kept += 1 + len(states)
        return found

    def keep(self, state: _State, ch: str, following: _State | None) -> None:
        if self._kept >= _MAX_KEPT:
            for old in list(self._states.values()):
                old.clear()
            self._states.clear()
            self._kept = 0
        state[ch] = following
        self._kept += 1


class Regex:
    """A compiled pattern. Searches may run in several threads at once."""

    __slots__ = ("_literal", "_machine", "pattern")

    def __init__(self, pattern: str) -> None:
        """Compile a pattern.

        Raises:
            RegexError: it is outside the syntax of ``regex_syntax``, or too large.
        """
        self.pattern = pattern
        node = parse_regex(pattern)
        self._literal = _literal(node)
        self._machine = _Machine(node)

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the first ``MAX_TEXT`` characters."""
        if len(text) > MAX_TEXT:
            text = text[:MAX_TEXT]
        if self._literal is not None:
            return self._literal in text
        state = self._machine.state(frozenset(), _START)
        for ch in text:
            following = state[ch]
            if following is None:
                return True
            state = following
        return state.final


def _literal(node: Node) -> str | None:
    items = node.items if isinstance(node, Sequence) else (node,)
    text = ""
    for item in items:
        if not isinstance(item, CharSet) or len(item.literals) != 1:
            return None
        if item.ranges or item.tests or item.negated or item.fold:
            return None
        text += next(iter(item.literals))
    return text


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> Regex:
    """The compiled pattern, kept for the next use.

    Raises:
        RegexError: see ``Regex``.
    """
    return Regex(pattern)


def regexp(pattern: str, value: str | None) -> bool:
    """What a store registers as its SQL function ``REGEXP``: ``value REGEXP pattern``.

    Args:
        pattern: as a compiled filter binds it, so already known to be valid.
        value: the column's text; NULL never matches.
    """
    return value is not None and compile_regex(pattern).search(value)

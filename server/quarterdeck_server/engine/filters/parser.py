"""From a filter's text to its tree: the grammar itself.

    filter  = either
    either  = both { ("|" | "OR") both }
    both    = one { ["AND"] one }
    one     = ("!" | "NOT") one | "(" either ")" | term
    term    = "~" regex | "?" letters | word
            | field (":" | "=" | "!=") value { "," value }
            | field (">" | ">=" | "<" | "<=") value
            | field "~" regex
            | ("label." | "attr.") key [ the same ]

``docs/filters.md`` is the page for users. What a value means is decided in ``terms``.
"""

from __future__ import annotations

import re
from typing import Final

from quarterdeck_server.engine.filters import terms
from quarterdeck_server.engine.filters.ast import All, Any, Filter, Node, Not, combined
from quarterdeck_server.engine.filters.errors import FilterError, nearest, shown
from quarterdeck_server.engine.filters.fields import (
    ATTRIBUTE_PREFIX,
    LABEL_PREFIX,
    Field,
    FieldTable,
)
from quarterdeck_server.engine.filters.terms import Word

MAX_LENGTH: Final = 2_000
MAX_TERMS: Final = 50
MAX_DEPTH: Final = 20

_FIELD: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)(?=!=|[:=<>~])")
_OPERATOR: Final = re.compile(r"!=|>=|<=|[:=<>~]")
_KEYWORD: Final = re.compile(r"(AND|OR|NOT)(?=[\s()|!]|$)")
_UNUSABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def parse(text: str, fields: FieldTable) -> Filter:
    """Parse a filter.

    Args:
        text: at most ``MAX_LENGTH`` characters with at most ``MAX_TERMS`` terms; an empty
            text is the filter that takes everything.
        fields: what may be asked, such as ``TASK_FIELDS``.

    Raises:
        FilterError: the text is not a filter over these fields; nothing else is raised.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(
            f"the filter has {len(text)} characters, at most {MAX_LENGTH} are taken; shorten it",
            MAX_LENGTH,
        )
    unusable = _UNUSABLE.search(text)
    if unusable:
        raise FilterError("control characters cannot be searched; remove it", unusable.start())
    return Filter(fields, _Parser(text, fields).parse())


class _Parser:
    def __init__(self, text: str, table: FieldTable) -> None:
        self._text = text
        self._table = table
        self._at = 0
        self._terms = 0

    def parse(self) -> Node:
        if not self._text.strip():
            return All(())
        node = self._either(0)
        if self._at < len(self._text):
            raise FilterError("this ) closes nothing; remove it or quote it", self._at)
        return node

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip_space(self) -> None:
        while self._peek().isspace():
            self._at += 1

    def _take(self, symbol: str, keyword: str) -> bool:
        self._skip_space()
        if symbol and self._peek() == symbol:
            self._at += 1
            return True
        found = _KEYWORD.match(self._text, self._at)
        if found and found[1] == keyword:
            self._at = found.end()
            return True
        return False

    def _either(self, depth: int) -> Node:
        children = [self._both(depth)]
        while self._take("|", "OR"):
            children.append(self._both(depth))
        return combined(Any, children)

    def _both(self, depth: int) -> Node:
        children = [self._one(depth)]
        while True:
            joined = self._take("", "AND")
            if not joined and self._ends_here():
                return combined(All, children)
            children.append(self._one(depth))

    def _ends_here(self) -> bool:
        self._skip_space()
        found = _KEYWORD.match(self._text, self._at)
        return self._peek() in ("", ")", "|") or bool(found and found[1] == "OR")

    def _one(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise FilterError(f"nested deeper than {MAX_DEPTH}; use fewer ( and !", self._at)
        self._skip_space()
        start = self._at
        if self._take("!", "NOT"):
            child = self._one(depth + 1)
            return child.child if isinstance(child, Not) else Not(child)
        if self._take("(", "("):
            node = self._either(depth + 1)
            if not self._take(")", ")"):
                raise FilterError("this ( is never closed; add ) or quote it", start)
            return node
        return self._term()

    def _term(self) -> Node:
        start = self._at
        if self._ends_here() or self._take("", "AND"):
            raise FilterError(
                "a term is missing here; write what to search for, or quote AND, OR, NOT, ( ) |",
                start,
            )
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise FilterError(f"more than {MAX_TERMS} terms; use lists such as name:a,b", start)
        if self._text.startswith(LABEL_PREFIX, start):
            return self._keyed_term(self._table.labels, LABEL_PREFIX, "labels")
        if self._text.startswith(ATTRIBUTE_PREFIX, start):
            return self._keyed_term(self._table.facts, ATTRIBUTE_PREFIX, "attributes")
        named = _FIELD.match(self._text, start)
        if named:
            return self._field_term(named[1])
        return self._bare_term()

    def _bare_term(self) -> Node:
        start = self._at
        if self._peek() == "~":
            return self._regex(self._table.bare, "")
        if self._peek() == "?":
            self._at += 1
            return terms.fuzzy(self._table.bare, self._word("()|"))
        if self._peek() in tuple("<>=:"):
            raise FilterError('a comparison needs a field before it; or quote it: "…"', start)
        word = self._word("()|")
        operator = None if word.quoted else _OPERATOR.search(self._text, start, self._at)
        name = self._text[start : operator.start()] if operator else ""
        if any(map(str.isalpha, name)):
            # `-name:x`, or a name with a character that nobody sees: searched for as a text it would match nothing, and
            # its negation everything that an act must not touch. `10:30` has no name.
            raise FilterError(self._unknown(name), start)
        return terms.bare(self._table, word)

    def _field_term(self, name: str) -> Node:
        start = self._at
        field = self._table.find(name)
        if field is None:
            raise FilterError(self._unknown(name), start)
        self._at += len(name)
        return self._compared(field, "")

    def _unknown(self, name: str) -> str:
        keyed = [f"{f.name}.KEY" for f in (self._table.labels, self._table.facts) if f]
        known = [*self._table.names, *keyed]
        hint = nearest(name, known) or f"; known are {', '.join(known)}"
        return (
            f"{self._table.resource}s have no field {shown(name)}{hint} "
            "(to search for this text, put it in double quotes)"
        )

    def _keyed_term(self, field: Field | None, prefix: str, named: str) -> Node:
        start = self._at
        if field is None:
            raise FilterError(f"{self._table.resource}s have no {named}", start)
        self._at += len(prefix)
        key = self._word(":=!<>~()|")
        what = named.removesuffix("s")
        if not key.text:
            raise FilterError(f"the {what}'s key is missing; write {prefix}KEY:value", key.position)
        if _OPERATOR.match(self._text, self._at):
            return self._compared(field, key.text)
        if not self._at_end_of_term():
            raise FilterError(f"after the {what}'s key write :value or a space", self._at)
        return terms.key_exists(field, key.text)

    def _compared(self, field: Field, key: str) -> Node:
        start = self._at
        found = _OPERATOR.match(self._text, start)
        operator = found[0] if found else ""
        terms.check_operator(field, operator, start)
        if operator == "~":
            return self._regex(field, key)
        self._at += len(operator)
        words = [self._value(field)]
        while self._peek() == ",":
            self._at += 1
            words.append(self._value(field))
        node = terms.compared(field, key, operator, words)
        return Not(node) if operator == "!=" else node

    def _value(self, field: Field) -> Word:
        start = self._at
        if self._peek() in ("=", "<", ">", "!", "~", ":", "?"):
            name = f"{field.name}.KEY" if field.keyed else field.name
            raise FilterError(
                f"a value cannot start with {self._peek()}; write {name}>1 or {name}~regex "
                'for a comparison, or quote the value: "…"',
                start,
            )
        word = self._word(",()|")
        if self._at == start:
            raise FilterError('a value is missing here; write "" for an empty one', start)
        return word

    def _at_end_of_term(self) -> bool:
        return self._peek() in ("", "(", ")", "|") or self._peek().isspace()

    def _word(self, stops: str) -> Word:
        """Read plain and quoted pieces up to a space or a stop; a plain * is a wildcard."""
        start = self._at
        parts = [""]
        quoted = False
        while (ch := self._peek()) and not ch.isspace():
            if ch == '"':
                parts[-1] += self._quoted()
                quoted = True
            elif ch in stops:
                break
            elif ch == "*":
                parts.append("")
                self._at += 1
            else:
                parts[-1] += ch
                self._at += 1
        return Word(tuple(parts), start, quoted)

    def _quoted(self) -> str:
        raw = self._raw_quoted()
        return re.sub(r'\\([\\"])', r"\1", raw)

    def _raw_quoted(self) -> str:
        start = self._at
        end = start + 1
        while self._text[end : end + 1] not in ("", '"'):
            end += 2 if self._text[end] == "\\" else 1
        if end >= len(self._text):
            raise FilterError('this " is never closed; add another one', start)
        self._at = end + 1
        return self._text[start + 1 : end]

    def _regex(self, field: Field, key: str) -> Node:
        self._at += 1
        start = self._at
        if self._peek() == '"':
            pattern = self._raw_quoted()
            if not self._at_end_of_term():
                raise FilterError("after a quoted expression write a space", self._at)
            return terms.regex(field, key, pattern, start + 1)
        return terms.regex(field, key, self._plain_pattern(), start)

    def _plain_pattern(self) -> str:
        """Read up to a space, or to a ) that the pattern itself has not opened."""
        start = self._at
        opened = 0
        while (ch := self._peek()) and not ch.isspace():
            opened += (ch == "(") - (ch == ")")
            if opened < 0:
                break
            self._at += 2 if ch == "\\" else 1
        self._at = min(self._at, len(self._text))
        return self._text[start : self._at]

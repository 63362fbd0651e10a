"""Payloads: Python values to JSON bytes, and JSON bytes to the type of an annotation.

Encoding goes by value. Decoding goes by type: `decoder()` reads an annotation once, when
a handler is registered, so that a type that cannot work fails there and not at run time.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from quarterdeck._errors import DefinitionError, PayloadError
from quarterdeck._values import FORMS, Form

Read = Callable[[Any, str], Any]
"""Turns a parsed JSON value, found at a path, into a value of the type."""


def _plain(value: Any) -> Any:
    """What stands for `value` in JSON, of one that JSON does not know."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    dump = getattr(value, "model_dump_json", None)
    if dump is not None:
        return json.loads(dump())
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return list(value)
    for kind, form in FORMS.items():
        if isinstance(value, kind):
            return form.write(value)
    raise TypeError(f"{type(value).__qualname__} has no JSON form")


_to_json = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
).encode


def encode(value: Any) -> bytes:
    """`value` as JSON; `None` as no bytes at all.

    Raises:
        PayloadError: It holds something that has no JSON form, such as NaN or a socket.
    """
    if value is None:
        return b""
    try:
        dump = getattr(value, "model_dump_json", None)
        text = dump() if dump is not None else _to_json(value)
        return str(text).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError("", f"cannot be encoded: {error}") from error


@dataclasses.dataclass(frozen=True)
class _Context:
    """What reading one annotation needs: names in scope, and the dataclasses on the way."""

    scope: Mapping[str, Any]
    seen: dict[type, Read] = dataclasses.field(default_factory=dict)


def decoder(annotation: Any, scope: Mapping[str, Any] | None = None) -> Callable[[bytes], Any]:
    """A function that turns payload bytes into a value of `annotation`.

    Known are `None`, the JSON types, `Any`, `object`, lists, tuples, sets, dicts with string
    keys, optionals and unions of these, literals, enums, dataclasses, `datetime` and `date` (ISO
    8601), `timedelta` (seconds), `UUID` and `Decimal` (strings), and whatever has
    `model_validate_json`, as pydantic's models have. Fields that a dataclass does not know are
    left out, so that a producer may be newer than its agents.

    Args:
        annotation: The type.
        scope: Names that the annotations of its dataclasses may use beside their module's.

    Raises:
        DefinitionError: The type is none of these.
    """
    validate = getattr(annotation, "model_validate_json", None)
    if validate is not None:
        return _model_decoder(validate)
    read = _reader(annotation, _Context(scope or {}))

    def decode(data: bytes) -> Any:
        try:
            value = json.loads(data) if data else None
        except (ValueError, RecursionError) as error:
            raise PayloadError("", f"is not JSON: {error}") from error
        return read(value, "")

    return decode


def _model_decoder(validate: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        try:
            return validate(data or b"null")
        except ValueError as error:
            raise PayloadError(*_model_problem(error)) from error

    return decode


def _model_problem(error: ValueError) -> tuple[str, str]:
    """Field and problem of a model's validation error, whose `errors()` is pydantic's."""
    errors = getattr(error, "errors", None)
    first = next(iter(errors()), None) if errors is not None else None
    if not isinstance(first, dict):
        return "", str(error)
    return ".".join(str(part) for part in first.get("loc", ())), str(first.get("msg", error))


def _reader(annotation: Any, context: _Context) -> Read:
    """The reader of one type."""
    if annotation in (Any, object):
        return lambda value, path: value
    if annotation in (None, type(None)):
        return _read_none
    if isinstance(annotation, type) and annotation in _SCALARS:
        return _SCALARS[annotation]
    if isinstance(annotation, type) and annotation in FORMS:
        return _form_reader(FORMS[annotation])
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _reader(args[0], context)
    if origin is typing.Literal:
        return _literal_reader(args)
    if origin in (typing.Union, types.UnionType):
        return _union_reader(annotation, [_reader(arg, context) for arg in args])
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return context.seen.get(annotation) or _dataclass_reader(annotation, context)
    if getattr(annotation, "model_validate", None) is not None:
        return _model_reader(annotation)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _enum_reader(annotation)
    return _container_reader(annotation, origin or annotation, args, context)


def _expected(path: str, what: str, value: Any) -> PayloadError:
    text = json.dumps(value, default=repr)
    return PayloadError(path, f"expected {what}, got {text[:60]}")


def _read_none(value: Any, path: str) -> None:
    if value is not None:
        raise _expected(path, "null", value)


def _scalar(kind: type, what: str) -> Read:
    def read(value: Any, path: str) -> Any:
        # True is an int for Python, not for JSON.
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        raise _expected(path, what, value)

    return read


def _read_float(value: Any, path: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise _expected(path, "a number", value)


_SCALARS: dict[type, Read] = {
    bool: _scalar(bool, "true or false"),
    int: _scalar(int, "a whole number"),
    float: _read_float,
    str: _scalar(str, "a string"),
}


def _form_reader(form: Form) -> Read:
    def read(value: Any, path: str) -> Any:
        try:
            return form.read(value)
        except (TypeError, ValueError, OverflowError):
            raise _expected(path, form.expected, value) from None

    return read


def _literal_reader(choices: tuple[Any, ...]) -> Read:
    def read(value: Any, path: str) -> Any:
        for choice in choices:
            if value == choice and type(value) is type(choice):
                return choice
        raise _expected(path, f"one of {', '.join(map(repr, choices))}", value)

    return read


def _enum_reader(kind: type[enum.Enum]) -> Read:
    def read(value: Any, path: str) -> Any:
        try:
            return kind(value)
        except ValueError:
            raise _expected(path, f"a value of {kind.__name__}", value) from None

    return read


def _model_reader(model: Any) -> Read:
    def read(value: Any, path: str) -> Any:
        try:
            return model.model_validate(value)
        except ValueError as error:
            field, problem = _model_problem(error)
            raise PayloadError(".".join(filter(None, (path, field))), problem) from error

    return read


def _union_reader(annotation: Any, readers: list[Read]) -> Read:
    def read(value: Any, path: str) -> Any:
        problem: PayloadError | None = None
        for reader in readers:
            try:
                return reader(value, path)
            except PayloadError as error:
                # With one real member, `X | None`, its own problem says the most.
                if reader is not _read_none:
                    problem = error
        if problem is not None and len(readers) == 2 and _read_none in readers:
            raise problem
        raise _expected(path, str(annotation), value)

    return read


def _container_reader(
    annotation: Any, origin: Any, args: tuple[Any, ...], context: _Context
) -> Read:
    if origin is dict or origin is typing.get_origin(typing.Mapping[str, Any]):
        key, item = args or (str, Any)
        if key not in (str, Any):
            raise DefinitionError(f"{annotation}: JSON has only string keys")
        return _dict_reader(_reader(item, context))
    if origin is tuple and args and args[-1] is not Ellipsis:
        return _tuple_reader([_reader(arg, context) for arg in args])
    sequence = typing.get_origin(typing.Sequence[Any])
    if origin in (list, tuple, set, frozenset, sequence):
        make = list if origin is sequence else origin
        return _list_reader(make, _reader(args[0] if args else Any, context))
    plain = isinstance(annotation, type)
    name = f"{annotation.__module__}.{annotation.__qualname__}" if plain else repr(annotation)
    raise DefinitionError(
        f"{name} has no JSON form; use JSON types, dataclasses or pydantic models"
    )


def _dict_reader(item: Read) -> Read:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _expected(path, "an object", value)
        return {k: item(v, f"{path}.{k}" if path else k) for k, v in value.items()}

    return read


def _list_reader(make: Callable[[Any], Any], item: Read) -> Read:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise _expected(path, "an array", value)
        return make([item(v, f"{path}[{n}]") for n, v in enumerate(value)])

    return read


def _tuple_reader(items: list[Read]) -> Read:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list) or len(value) != len(items):
            raise _expected(path, f"an array of {len(items)}", value)
        return tuple(
            item(v, f"{path}[{n}]") for n, (item, v) in enumerate(zip(items, value, strict=True))
        )

    return read


def _field_reader(kind: type, name: str, annotation: Any, context: _Context) -> Read:
    try:
        return _reader(annotation, context)
    except DefinitionError as error:
        raise DefinitionError(f"{kind.__name__}.{name}: {error}") from None


def _dataclass_reader(kind: type, context: _Context) -> Read:
    readers: dict[str, Read] = {}
    required: list[str] = []

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _expected(path, f"an object with the fields of {kind.__name__}", value)
        prefix = f"{path}." if path else ""
        for name in required:
            if name not in value:
                raise PayloadError(f"{prefix}{name}", "is missing")
        given = {
            name: readers[name](item, prefix + name)
            for name, item in value.items()
            if name in readers
        }
        try:
            return kind(**given)
        except (TypeError, ValueError) as error:
            raise PayloadError(path, f"{kind.__name__} refuses it: {error}") from error

    context.seen[kind] = read
    try:
        hints = typing.get_type_hints(kind, localns=dict(context.scope))
    except NameError as error:
        raise DefinitionError(f"{kind.__name__}: {error}") from error
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        readers[field.name] = _field_reader(kind, field.name, hints[field.name], context)
        if field.default is field.default_factory is dataclasses.MISSING:
            required.append(field.name)
    return read

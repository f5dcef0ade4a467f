"""What may travel, and what may not: hypothesis strategies made from the rules of the messages' own fields."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from npu_memory_server import wire
from npu_memory_server.wire import Message

JSON_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    JSON_SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
MOMENTS = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - the zone comes with the strategy
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


def message_classes() -> list[type[Any]]:
    """Return every dataclass of the protocol that travels, those inside messages too."""
    found = [cls for cls in vars(wire).values() if isinstance(cls, type) and is_dataclass(cls)]
    return [cls for cls in found if cls not in (Message, wire.Frame)]


def events() -> list[type[Message]]:
    """Return every message that is an event of its own."""
    return [cls for cls in message_classes() if issubclass(cls, Message)]


def messages(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Return valid instances of a class of the protocol."""
    hints = get_type_hints(cls)
    required = {f.name: _values(hints[f.name], f) for f in fields(cls) if _is_required(f)}
    optional = {f.name: _values(hints[f.name], f) for f in fields(cls) if not _is_required(f)}
    return st.fixed_dictionaries(required, optional=optional).map(lambda values: cls(**values))


def example_data(cls: type[Any]) -> dict[str, Any]:
    """Return one small valid `cls` as JSON data, every field of it given."""
    hints = get_type_hints(cls)
    return {f.name: _example(hints[f.name], f) for f in fields(cls)}


def hostile_values(cls: type[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of `cls`, each with values that must be refused."""
    hints = get_type_hints(cls)
    for f in fields(cls):
        base, nullable = _base(hints[f.name])
        yield from ((f.name, value) for value in _hostile(base, f.metadata, nullable=nullable))


def _is_required(f: Field[Any]) -> bool:
    return f.default is MISSING and f.default_factory is MISSING


def _base(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (UnionType, Union):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        assert len(kinds) == 1, "a field has one kind, or none"
        return kinds[0], True
    return hint, False


def _values(hint: Any, f: Field[Any]) -> st.SearchStrategy[Any]:
    base, nullable = _base(hint)
    values = _base_values(base, f.metadata)
    return st.none() | values if nullable else values


def _base_values(base: Any, rules: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if get_origin(base) is tuple:
        return st.lists(_base_values(get_args(base)[0], rules), max_size=min(3, rules["items"])).map(tuple)
    if base is str:
        return _texts(rules)
    if base is bool:
        return st.booleans()
    if base is int:
        return st.integers(int(rules.get("low", -(2**31))), int(rules.get("high", 2**31)))
    if base is float:
        return st.floats(rules.get("low", -1e9), rules.get("high", 1e9))
    if issubclass(base, Enum):
        return st.sampled_from(base)
    return messages(base)


def _texts(rules: Mapping[str, Any]) -> st.SearchStrategy[str]:
    if rules.get("moment"):
        return MOMENTS.map(datetime.isoformat)
    if rules.get("pattern"):
        return st.from_regex(rules["pattern"], fullmatch=True).filter(
            lambda text: len(text) <= rules["limit"] and "\0" not in text and _is_text(text)
        )
    minimum = rules.get("minimum", 0)
    limit = rules.get("limit", wire.MAX_NAME_CHARACTERS)
    if minimum > 1:
        return st.text("0123456789abcdef", min_size=minimum, max_size=limit)
    return TEXT.map(lambda text: text[:limit]).filter(lambda text: len(text.strip()) >= minimum)


def _is_text(text: str) -> bool:
    return text.encode(errors="ignore").decode() == text


def _example(hint: Any, f: Field[Any]) -> Any:
    base, _ = _base(hint)
    return _base_example(base, f.metadata)


def _base_example(base: Any, rules: Mapping[str, Any]) -> Any:
    if get_origin(base) is tuple:
        return [_base_example(get_args(base)[0], rules)]
    if base is str:
        if rules.get("moment"):
            return "2026-03-03T18:30:00+01:00"
        return "household" if rules.get("pattern") else "a" * max(1, rules.get("minimum", 0))
    if base is bool:
        return True
    if base in (int, float):
        return base(rules.get("low", 1))
    if issubclass(base, Enum):
        return next(iter(base)).value
    return example_data(base)


def _hostile(base: Any, rules: Mapping[str, Any], *, nullable: bool) -> Iterator[Any]:
    if not nullable:
        yield None
    if get_origin(base) is tuple:
        inner = _base_example(get_args(base)[0], rules)
        yield from ("SECRET", 7, {"SECRET": 1}, [inner] * (rules["items"] + 1))
        yield from ([value] for value in _hostile(get_args(base)[0], rules, nullable=False))
        return
    if base is str:
        limit = rules.get("limit", wire.MAX_NAME_CHARACTERS)
        yield from (7, True, ["SECRET"], {"SECRET": 1}, "SECRET\0", "SECRET\ud800", "SECRET" + "x" * limit)
        if rules.get("minimum"):
            yield from ("", " \n\t")
        if rules.get("pattern"):
            yield from ("SECRET SECRET!\n", "../SECRET", "'; DROP TABLE SECRET; --")
        if rules.get("moment"):
            yield from ("SECRET", "2026-13-01", "9999-12-31T23:59:59-23:00", "2026-03-03T18:30:00+00:00:01.500000")
        return
    if base is bool:
        yield from (0, 1, "SECRET", [])
        return
    if base in (int, float):
        yield from ("SECRET", True, [], float("nan"), float("inf"), float("-inf"), 10**400)
        if base is int:
            yield 1.5
        if "low" in rules:
            yield from (rules["low"] - 1, rules["high"] + 1, 10**9, -(10**9))
        return
    yield from ("SECRET", 7, ["SECRET"], True)
    if is_dataclass(base) and any(_is_required(f) for f in fields(base)):
        yield {}

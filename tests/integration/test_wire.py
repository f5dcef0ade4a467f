"""The protocol as the integration reads it: everything from a socket is hostile until it has been checked."""

import asyncio
from dataclasses import MISSING, fields
import inspect
import json
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.npu_memory import wire
from custom_components.npu_memory.wire import ErrorCode, WireError

MESSAGES = [
    kind
    for _, kind in inspect.getmembers(wire, inspect.isclass)
    if issubclass(kind, wire.Message) and kind is not wire.Message
]
ITEM = {"id": "1", "text": "Milk.", "created_at": "2026-03-03T18:30:00+01:00"}
FULL = wire.Context(
    id="7",
    context="- Milk.",
    memories=(wire.MemoryItem(**ITEM, speaker="Anna", tags=("a", "b"), kind=wire.Kind.FACT, score=0.5),),
    timings=wire.Timings(total=1.5),
    backend="cpu",
)


def stream(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=wire.MAX_HEADER_BYTES)
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def read(data: bytes, **limits: int) -> wire.Frame | None:
    return await wire.read_frame(stream(data), **limits)


async def test_a_message_comes_out_as_it_went_in() -> None:
    frame = await read(wire.message_bytes(FULL))
    assert frame is not None
    assert frame.type == "memory-context"
    assert wire.from_data(wire.Context, frame.data) == FULL


async def test_inline_data_and_a_payload_are_wyoming_too() -> None:
    frame = await read(b'{"type":"x","data":{"a":1,"b":1},"data_length":7,"payload_length":3}\n{"b":2}abc')
    assert frame == wire.Frame("x", {"a": 1, "b": 2})


async def test_the_end_of_the_stream_is_no_error() -> None:
    assert await read(b"") is None
    with pytest.raises(asyncio.IncompleteReadError):
        await read(b'{"type"')


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"x" * (2 * wire.MAX_HEADER_BYTES), ErrorCode.FRAME_TOO_LARGE),
        (b'{"type":"x","data_length":-1}\n', ErrorCode.FRAME_TOO_LARGE),
        (b'{"type":"x","data_length":true}\n', ErrorCode.FRAME_TOO_LARGE),
        (b'{"type":"x","data_length":"1"}\n', ErrorCode.FRAME_TOO_LARGE),
        (b'{"type":"x","data_length":60,"payload_length":60}\n', ErrorCode.FRAME_TOO_LARGE),
        (b"{]\n", ErrorCode.MALFORMED),
        (b"[]\n", ErrorCode.MALFORMED),
        (b"[" * 30_000 + b"\n", ErrorCode.MALFORMED),
        (b'{"type":7}\n', ErrorCode.MALFORMED),
        (b'{"type":"x","data":[1]}\n', ErrorCode.MALFORMED),
        (b'{"type":"x","data_length":2}\n[]', ErrorCode.MALFORMED),
        (b'{"type":"x","data_length":2}\n\xff\xff', ErrorCode.MALFORMED),
    ],
)
async def test_a_frame_that_is_none_is_refused(data: bytes, code: ErrorCode) -> None:
    with pytest.raises(WireError) as caught:
        await read(data, limit=100)
    assert caught.value.code is code


@given(st.binary(max_size=200))
async def test_no_bytes_make_anything_but_a_frame_or_a_refusal(data: bytes) -> None:
    try:
        frame = await read(data)
    except WireError, asyncio.IncompleteReadError:
        return
    assert frame is None or isinstance(frame.type, str)


@pytest.mark.parametrize("kind", MESSAGES)
def test_every_message_has_a_type_of_its_own(kind: type[wire.Message]) -> None:
    assert [other.event_type for other in MESSAGES].count(kind.event_type) == 1


@pytest.mark.parametrize("kind", [*MESSAGES, wire.Greeting, wire.MemoryItem, wire.Timings])
@given(data=st.dictionaries(st.text(max_size=1), st.none()))
def test_nothing_is_guessed(kind: type[Any], data: dict[str, Any]) -> None:
    if any(f.default is MISSING and f.default_factory is MISSING for f in fields(kind)):
        with pytest.raises(WireError) as caught:
            wire.from_data(kind, data)
        assert caught.value.code is ErrorCode.INVALID_REQUEST
    else:
        assert isinstance(wire.from_data(kind, data), kind)


@pytest.mark.parametrize(
    "change",
    [
        {"text": 7},
        {"text": "x" * (wire.MAX_TEXT_CHARACTERS + 1)},
        {"text": "\0"},
        {"text": "\ud800"},
        {"id": "-"},
        {"id": ""},
        {"kind": "rumor"},
        {"kind": 7},
        {"scope": "everybody"},
        {"tags": "a"},
        {"tags": ["a"] * 33},
        {"tags": [7]},
        {"created_at": "yesterday"},
        {"created_at": "0001-01-01T00:00:00"},
        {"score": "1"},
        {"score": True},
        {"score": float("nan")},
        {"score": float("inf")},
    ],
)
def test_a_memory_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        wire.from_data(wire.MemoryItem, ITEM | change)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (wire.Context, {"context": "", "memories": [7], "timings": {}, "backend": "cpu"}),
        (wire.Context, {"context": "", "memories": [], "timings": 7, "backend": "cpu"}),
        (wire.ListRequest, {"include_past": 1}),
        (wire.ListRequest, {"limit": 1.5}),
        (wire.ListRequest, {"limit": wire.MAX_PAGE + 1}),
        (wire.RecallRequest, {"text": "  "}),
    ],
)
def test_other_messages_are_checked_too(kind: type[wire.Message], data: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        wire.from_data(kind, {"id": "9", **data})
    assert caught.value.request_id == "9"


def test_a_newer_peer_may_say_more_and_leave_out_what_is_optional() -> None:
    item = wire.from_data(wire.MemoryItem, {**ITEM, "mood": "happy", "speaker": None})
    assert item.speaker is None
    assert wire.from_data(wire.ListRequest, {"include_past": False}).include_past is False


def test_a_moment_without_an_offset_is_local() -> None:
    assert wire.parse_moment("2026-03-03T18:30:00").tzinfo is not None


@pytest.mark.parametrize("value", [None, 7, "x" * 65, "\ud800"])
def test_an_id_that_cannot_be_sent_back_is_none(value: Any) -> None:
    assert wire.request_id({"id": value}) == ""


def test_what_holds_its_default_is_not_sent() -> None:
    assert wire.to_data(wire.RecallRequest(text="Milk?", id="1")) == {"id": "1", "text": "Milk?"}


def test_the_proofs_of_the_two_sides_differ_and_need_the_token() -> None:
    proofs = {
        wire.client_proof("token", "a", "b"),
        wire.server_proof("token", "a", "b"),
        wire.client_proof("token", "b", "a"),
        wire.client_proof("another", "a", "b"),
        wire.client_proof("\ud800", "a", "b"),
    }
    assert len(proofs) == 5
    assert all(len(proof) == 64 for proof in proofs)


def test_frames_are_json_and_keep_every_letter() -> None:
    header, body = wire.frame_bytes("x", {"text": "Grüße 🌡"}).split(b"\n", 1)
    assert json.loads(header) == {"type": "x", "data_length": len(body)}
    assert "🌡".encode() in body

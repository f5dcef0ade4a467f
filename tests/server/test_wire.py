"""The protocol: what is said arrives as it was said, and what nobody should say is refused with a sentence."""

import asyncio
from dataclasses import replace
import json
import math
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings, strategies as st
import pytest
from wyoming.event import Event, async_read_event, async_write_event

from npu_memory_server import wire
from npu_memory_server.wire import (
    MAX_FRAME_BYTES,
    MAX_HEADER_BYTES,
    MAX_STRANGER_FRAME_BYTES,
    MAX_TOP_K,
    Context,
    ErrorCode,
    Frame,
    MemoryItem,
    Message,
    RecallRequest,
    RememberRequest,
    WireError,
    client_proof,
    context_bytes,
    frame_bytes,
    from_data,
    message_bytes,
    parse_moment,
    read_frame,
    server_proof,
    to_data,
    to_json,
)
from tests.server.messages import (
    JSON,
    JSON_SCALARS,
    TEXT,
    events,
    example_data,
    hostile_values,
    message_classes,
    messages,
)

REPOSITORY = Path(__file__).parents[2]


def reader_of(content: bytes, *, ended: bool = True) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=MAX_HEADER_BYTES)
    reader.feed_data(content)
    if ended:
        reader.feed_eof()
    return reader


async def read(content: bytes, limit: int = MAX_FRAME_BYTES) -> Frame | None:
    return await read_frame(reader_of(content), limit)


class MemoryWriter:
    """As much of a `StreamWriter` as Wyoming's own writer uses."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writelines(self, parts: list[bytes]) -> None:
        self.content += b"".join(parts)

    def write(self, part: bytes) -> None:
        self.content += part

    async def drain(self) -> None:
        return


def refusal(cls: type[Any], data: dict[str, Any]) -> WireError | None:
    try:
        from_data(cls, data)
    except WireError as refused:
        return refused
    return None


# Both sides have the same file


def test_the_integration_and_the_server_have_the_same_bytes() -> None:
    copies = [
        REPOSITORY / "addon" / "src" / "npu_memory_server" / "wire.py",
        REPOSITORY / "custom_components" / "npu_memory" / "wire.py",
    ]
    assert copies[0].read_bytes() == copies[1].read_bytes()


def test_the_file_needs_nothing_but_the_standard_library() -> None:
    import ast
    import sys

    tree = ast.parse(Path(wire.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." * node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


def test_every_event_has_a_name_of_its_own() -> None:
    names = [cls.event_type for cls in events()]
    assert len(names) == len(set(names)) >= 13


# What is said arrives as it was said


@pytest.mark.parametrize("cls", message_classes())
@given(data=st.data())
@settings(max_examples=15)
def test_a_message_arrives_as_it_left(cls: type[Any], data: st.DataObject) -> None:
    message = data.draw(messages(cls))
    travelled = json.loads(json.dumps(to_data(message), ensure_ascii=False))
    assert from_data(cls, travelled) == message


@pytest.mark.parametrize("cls", events())
@given(data=st.data())
@settings(max_examples=6)
def test_a_frame_arrives_as_it_left(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(cls))
    frame = asyncio.run(read(message_bytes(message)))
    assert frame is not None
    assert frame.type == cls.event_type
    assert from_data(cls, frame.data) == message


@given(messages(Context))
@settings(max_examples=25)
def test_an_answer_of_memories_that_were_written_before_arrives_as_the_same_answer(context: Context) -> None:
    written = [to_json(one) for one in context.memories]
    frame = asyncio.run(read(context_bytes(replace(context, memories=()), written)))
    assert frame is not None
    assert from_data(Context, frame.data) == context
    assert frame == asyncio.run(read(message_bytes(context)))


@pytest.mark.parametrize("cls", message_classes())
@given(extra=st.dictionaries(st.text(min_size=1, max_size=12).map(lambda name: f"new {name}"), JSON, max_size=3))
@settings(max_examples=6)
def test_what_a_newer_peer_says_in_addition_is_skipped(cls: type[Any], extra: dict[str, Any]) -> None:
    known = example_data(cls)
    assert from_data(cls, {**extra, **known}) == from_data(cls, known)


@pytest.mark.parametrize("cls", message_classes())
def test_defaults_do_not_travel(cls: type[Any]) -> None:
    only_required = {name: value for name, value in example_data(cls).items() if not _has_default(cls, name)}
    assert set(to_data(from_data(cls, only_required))) == set(only_required)


def _has_default(cls: type[Any], name: str) -> bool:
    from dataclasses import MISSING, fields

    return next(f for f in fields(cls) if f.name == name).default is not MISSING


def test_several_frames_come_one_after_the_other() -> None:
    async def read_all() -> list[Frame | None]:
        reader = reader_of(
            frame_bytes("one", {"a": 1}) + frame_bytes("two", {}) + frame_bytes("three", {"text": "é\n"})
        )
        return [await read_frame(reader) for _ in range(4)]

    frames = asyncio.run(read_all())
    assert frames == [Frame("one", {"a": 1}), Frame("two", {}), Frame("three", {"text": "é\n"}), None]


# What nobody should say


@pytest.mark.parametrize("cls", message_classes())
def test_hostile_values_are_refused_with_a_sentence_that_does_not_quote_them(cls: type[Any]) -> None:
    good = example_data(cls)
    from_data(cls, good)
    accepted = []
    for name, value in hostile_values(cls):
        refused = refusal(cls, {**good, name: value})
        if refused is None:
            accepted.append((name, str(value)[:60]))
            continue
        assert refused.code is ErrorCode.INVALID_REQUEST
        assert refused.sentence.startswith("The field '")
        assert refused.sentence.endswith(".")
        assert "SECRET" not in refused.sentence
    assert not accepted


@pytest.mark.parametrize("cls", message_classes())
def test_a_required_field_that_is_missing_is_named(cls: type[Any]) -> None:
    good = example_data(cls)
    for name in [name for name in good if not _has_default(cls, name)]:
        with pytest.raises(WireError, match=f"'{name}' is missing"):
            from_data(cls, {key: value for key, value in good.items() if key != name})


@pytest.mark.parametrize("cls", message_classes())
@given(data=st.dictionaries(st.text(max_size=12), JSON, max_size=8), field=st.data())
@settings(max_examples=20)
def test_whatever_comes_the_only_error_is_the_one_that_can_be_answered(
    cls: type[Any], data: dict[str, Any], field: st.DataObject
) -> None:
    name = field.draw(st.sampled_from(sorted(example_data(cls))))
    refused = refusal(cls, {**example_data(cls), **data, name: field.draw(JSON)})
    assert refused is None or refused.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("top_k", [0, -1, MAX_TOP_K + 1, 10**9, 10**400, 2.5, "5", True, math.nan])
def test_a_number_of_memories_that_makes_no_sense_is_refused(top_k: object) -> None:
    with pytest.raises(WireError, match=f"'top_k' must be a whole number from 1 to {MAX_TOP_K}"):
        from_data(RecallRequest, {"text": "who has the key", "top_k": top_k})


@pytest.mark.parametrize(
    "scope", ["", "Household", "person:", "person: x", "person:a\nb", "room:kitchen", "household:x"]
)
def test_a_scope_of_another_form_is_refused(scope: str) -> None:
    with pytest.raises(WireError, match="'scope"):
        from_data(RecallRequest, {"text": "who has the key", "scopes": [scope]})


def test_a_refusal_carries_the_id_of_the_request() -> None:
    with pytest.raises(WireError) as refused:
        from_data(RecallRequest, {"id": "17", "text": 3})
    assert refused.value.request_id == "17"


@pytest.mark.parametrize("request_id", [17, None, "x" * 65, "\ud800", ["17"]])
def test_an_id_that_could_not_be_sent_back_is_not(request_id: object) -> None:
    with pytest.raises(WireError) as refused:
        from_data(RecallRequest, {"id": request_id, "text": "who has the key"})
    assert refused.value.request_id == ""


@pytest.mark.parametrize("written", ["2026-03-03", "2026-03-03T18:30", "2026-03-03T18:30:00Z", "20260303T183000+0100"])
def test_moments_are_read_as_iso_8601_and_have_an_offset_afterwards(written: str) -> None:
    moment = parse_moment(written)
    assert moment.date().isoformat() == "2026-03-03"
    assert moment.utcoffset() is not None


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "",
        "2026-02-30",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-03-03T00:00:00+00:00:01.500000",
    ],
)
def test_moments_that_no_calendar_holds_are_refused(written: str) -> None:
    with pytest.raises(WireError, match="must be a moment such as") as refused:
        parse_moment(written)
    assert not written or written not in refused.value.sentence


# Frames


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"type": "ping", "data_length": 100_000_000}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": "ping", "payload_length": 100_000_000}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": "ping", "data_length": MAX_FRAME_BYTES, "payload_length": 1}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": "ping", "data_length": 10**400}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": "ping", "data_length": -1}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": "ping", "data_length": 1.5}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": "ping", "data_length": "7"}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": "ping", "data_length": True}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": "ping", "data_length": [1]}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": "ping", "data_length": math.nan}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": "ping", "data_length": math.inf}, ErrorCode.FRAME_TOO_LARGE),
        ({"type": 7}, ErrorCode.MALFORMED),
        ({"type": None}, ErrorCode.MALFORMED),
        ({}, ErrorCode.MALFORMED),
        ({"type": "ping", "data": ["no", "object"]}, ErrorCode.MALFORMED),
        ({"type": "ping", "data": "no object"}, ErrorCode.MALFORMED),
    ],
)
def test_a_header_that_makes_no_sense_is_refused_before_any_body_is_waited_for(
    header: dict[str, Any], code: ErrorCode
) -> None:
    async def read_header() -> None:
        # Nothing follows and nothing ends: whoever waited for the body would wait forever.
        await asyncio.wait_for(read_frame(reader_of(json.dumps(header).encode() + b"\n", ended=False)), 10)

    with pytest.raises(WireError) as refused:
        asyncio.run(read_header())
    assert refused.value.code is code


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"hello\n",
        b"[1, 2]\n",
        b'"ping"\n',
        b"null\n",
        b'{"type": "ping"\n',
        b'{"type": "p\xffng"}\n',
        b"\xff\xfe\x00\x01\n",
        b"[" * 30_000 + b"\n",
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"\n",
        b'{"type": "ping", "data_length": ' + b"9" * 5_000 + b"}\n",
    ],
)
def test_a_header_that_is_no_json_object_is_malformed(line: bytes) -> None:
    with pytest.raises(WireError) as refused:
        asyncio.run(read(line))
    assert refused.value.code is ErrorCode.MALFORMED


@pytest.mark.parametrize("body", [b"\xff\xff", b"[1]", b"null", b"{", b'{"a":' * 20_000 + b"1" + b"}" * 20_000])
def test_after_a_malformed_body_the_next_frame_is_found(body: bytes) -> None:
    async def read_both() -> Frame | None:
        header = json.dumps({"type": "ping", "data_length": len(body)}).encode() + b"\n"
        reader = reader_of(header + body + frame_bytes("pong", {"text": "here"}))
        with pytest.raises(WireError) as refused:
            await read_frame(reader)
        assert refused.value.code is ErrorCode.MALFORMED
        return await read_frame(reader)

    assert asyncio.run(read_both()) == Frame("pong", {"text": "here"})


def test_a_header_without_an_end_is_too_large() -> None:
    async def read_header() -> None:
        await asyncio.wait_for(read_frame(reader_of(b"x" * (3 * MAX_HEADER_BYTES), ended=False)), 10)

    with pytest.raises(WireError) as refused:
        asyncio.run(read_header())
    assert refused.value.code is ErrorCode.FRAME_TOO_LARGE


@pytest.mark.parametrize("cut", [1, 10, -1])
def test_a_frame_that_breaks_off_is_not_taken_for_the_end(cut: int) -> None:
    whole = frame_bytes("memory-recall", {"text": "who has the key"})
    with pytest.raises(asyncio.IncompleteReadError):
        asyncio.run(read(whole[:cut]))


def test_a_stranger_may_say_less_than_a_friend() -> None:
    letter = frame_bytes("ping", {"text": "x" * MAX_STRANGER_FRAME_BYTES})
    assert asyncio.run(read(letter)) is not None
    with pytest.raises(WireError, match=f"at most {MAX_STRANGER_FRAME_BYTES} bytes"):
        asyncio.run(read(letter, MAX_STRANGER_FRAME_BYTES))


@given(garbage=st.binary(max_size=300))
@example(garbage=b'{"type":"a","data_length":null,"payload_length":0}\n')
@settings(max_examples=100)
def test_garbage_is_an_error_that_is_known_or_a_frame(garbage: bytes) -> None:
    try:
        frame = asyncio.run(read(garbage))
    except (WireError, asyncio.IncompleteReadError):
        return
    assert frame is None or isinstance(frame.type, str)


# The token


@given(token=TEXT, nonces=st.tuples(TEXT, TEXT), others=st.tuples(TEXT, TEXT))
@settings(max_examples=30)
def test_a_proof_holds_for_one_token_one_role_and_one_pair_of_nonces(
    token: str, nonces: tuple[str, str], others: tuple[str, str]
) -> None:
    proof = client_proof(token, *nonces)
    assert proof == client_proof(token, *nonces)
    assert proof not in (server_proof(token, *nonces), client_proof(f"{token}x", *nonces))
    nonces_without_breaks = "\n" not in "".join((*nonces, *others))
    assert not nonces_without_breaks or (client_proof(token, *others) == proof) == (nonces == others)
    assert not token.strip() or token not in proof or len(token) <= 64


# The `wyoming` package reads what we write, and the other way round


OTHERS_DATA = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), JSON_SCALARS, max_size=5)


@given(data=OTHERS_DATA)
@settings(max_examples=50)
def test_wyoming_reads_our_frames(data: dict[str, Any]) -> None:
    finite = {key: value for key, value in data.items() if value == value}  # noqa: PLR0124 - NaN is not equal to itself

    async def read_as_wyoming() -> Event | None:
        return await async_read_event(reader_of(frame_bytes("memory-recall", finite)))

    event = asyncio.run(read_as_wyoming())
    assert event is not None
    assert (event.type, event.data, event.payload) == ("memory-recall", finite, None)


@given(data=OTHERS_DATA, payload=st.none() | st.binary(min_size=1, max_size=50))
@settings(max_examples=50)
def test_we_read_wyomings_frames(data: dict[str, Any], payload: bytes | None) -> None:
    finite = {key: value for key, value in data.items() if value == value}  # noqa: PLR0124

    async def write_and_read() -> tuple[Frame | None, Frame | None]:
        writer = MemoryWriter()
        await async_write_event(Event("transcript", finite, payload), writer)  # type: ignore[arg-type]
        reader = reader_of(bytes(writer.content))
        return await read_frame(reader), await read_frame(reader)

    assert asyncio.run(write_and_read()) == (Frame("transcript", finite), None)


def test_data_in_the_header_is_read_too_as_wyoming_allows() -> None:
    both = b'{"type": "transcript", "data": {"text": "inline", "language": "en"}, "data_length": 15}\n{"text":"body"}'

    async def read_as_wyoming() -> Event | None:
        return await async_read_event(reader_of(both))

    event = asyncio.run(read_as_wyoming())
    frame = asyncio.run(read(both))
    assert event is not None
    assert frame is not None
    assert frame.data == event.data == {"text": "body", "language": "en"}


def test_the_largest_answer_fits_into_a_frame() -> None:
    """Control characters are six bytes in JSON, and a text is in the answer twice: as a memory and in the context."""
    text = "\x01" * wire.MAX_TEXT_CHARACTERS
    item = MemoryItem(id="x" * 64, text=text, created_at="2026-03-03T18:30:00+01:00", tags=("\x01" * 64,) * 32)
    context = "\n".join(json.dumps(text) for _ in range(MAX_TOP_K))
    answer = wire.Context(context=context, memories=(item,) * MAX_TOP_K, timings=wire.Timings(), backend="cpu")
    frame = asyncio.run(read(message_bytes(answer)))
    assert frame is not None
    assert from_data(wire.Context, frame.data) == answer


def test_the_longest_memory_may_be_remembered() -> None:
    request = RememberRequest(text="😀" * wire.MAX_TEXT_CHARACTERS)
    frame = asyncio.run(read(message_bytes(request)))
    assert frame is not None
    assert from_data(RememberRequest, frame.data) == request

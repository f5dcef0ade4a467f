"""A picture of one turn by voice: which way it went, and when each part had it."""

from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH = 980
LEFT, RIGHT = 196, 950
FIRST_ROW, ROW = 322, 34
STYLE = """\
    .box { fill: #ffffff; stroke: #1f3b57; stroke-width: 1.6; rx: 8 }
    .ours { fill: #e3f1ec; stroke: #17694f }
    .t { fill: #14212e } .s { fill: #4a5b6b; font-size: 12.5px }
    .ms { fill: #17694f; font-size: 13px; font-weight: 600 }
    .line { stroke: #1f3b57; stroke-width: 1.8; fill: none; marker-end: url(#tip) }
    .bar { fill: #9db4cb } .bar-ours { fill: #17694f } .axis { stroke: #b8c4d0; stroke-width: 1 }"""
TIP = (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
    'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="#1f3b57"/></marker></defs>'
)


def svg(found: dict[str, Any]) -> str:
    """Return the picture of the question in the figures of a story."""
    asked = found["asked"]
    events, model, memory = asked["events_ms"], asked["model_ms"], asked["memory_ms"]
    begin = events["intent-start"]
    own = model["asked"] - begin - memory["waited"]
    spans = [
        ("Whisper hears", 0.0, events["stt-end"], False),
        ("memory is asked", begin, begin + memory["waited"], True),
        ("assistant and agent", begin + memory["waited"], model["asked"], True),
        ("the model reads", model["asked"], model["first_words"], False),
        ("the model answers", model["first_words"], model["end"], False),
        ("Piper until its first sound", min(model["end"], events["first-audio"]), events["first-audio"], False),
    ]
    height = FIRST_ROW + ROW * len(spans) + 60
    parts = [
        *_flow(found, own),
        *_bars(spans, max(events["first-audio"], model["end"])),
    ]
    label = (
        "One question by voice: Whisper hears it, the assistant with memory asks the memory server, the language model "
        "is given the memory, Piper speaks; below, when each part had the turn"
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" '
        f'font-size="15" role="img" aria-label="{label}">'
    )
    ground = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, f"  <style>\n{STYLE}\n  </style>", TIP, ground, *parts, "</svg>"]) + "\n"


def _flow(found: dict[str, Any], own: float) -> list[str]:
    asked = found["asked"]
    events, model, memory = asked["events_ms"], asked["model_ms"], asked["memory_ms"]
    return [
        _text(20, 30, f"Asked by voice, Home Assistant {found['home_assistant']}: “{asked['heard']}”", "t"),
        *_box(20, 58, 140, "Whisper", "heard after", _ms(events["stt-end"])),
        *_box(230, 58, 210, "Assistant with memory", "it and the agent add", _ms(own), ours=True),
        *_box(510, 58, 190, "llama.cpp, llama-server", "first words after", _ms(model["first_words"] - model["asked"])),
        *_box(770, 58, 180, "Piper", "first sound after the text", _ms(events["first-audio"] - model["end"])),
        *_box(230, 190, 210, "Memory server", "waited for, there and back", _ms(memory["waited"]), ours=True),
        _arrow("M160 98H230"),
        _arrow("M440 98H510"),
        _arrow("M700 98H770"),
        _arrow("M300 138V190"),
        _arrow("M370 190V138"),
        _text(470, 204, "What the model was given, at its server's door:", "s"),
        *(_text(470, 224 + 18 * line, words, "s") for line, words in enumerate(_given(found))),
    ]


def _given(found: dict[str, Any]) -> Sequence[str]:
    memory = found["asked"]["memory"]
    backend = memory["backend"].upper()
    return (
        f"{memory['given']} memory quoted as data, about {memory['tokens']} tokens, found on the {backend}",
        f"in {_ms(found['asked']['memory_ms']['in_the_server'])} of the server's time",
    )


def _bars(spans: Sequence[tuple[str, float, float, bool]], end: float) -> list[str]:
    bottom = FIRST_ROW + ROW * len(spans)
    parts = []
    step = next(step for step in (100, 200, 500, 1000, 2000, 5000, 10000, 100000) if end / step <= 10)
    for tick in range(0, int(end) + 1, step):
        x = _x(tick, end)
        parts.append(f'<path class="axis" d="M{x:.1f} {FIRST_ROW - 12}V{bottom}"/>')
        parts.append(_text(x, bottom + 18, f"{tick / 1000:g} s", "s", "middle"))
    parts.append(_text(LEFT, bottom + 42, "after the end of what was said", "s"))
    for row, (name, begin, finish, ours) in enumerate(spans):
        y = FIRST_ROW + ROW * row
        width = max(3.0, _x(finish, end) - _x(begin, end))
        kind = "bar-ours" if ours else "bar"
        parts.append(_text(LEFT - 12, y + 15, name, "s", "end"))
        parts.append(f'<rect class="{kind}" x="{_x(begin, end):.1f}" y="{y}" width="{width:.1f}" height="20"/>')
        right = _x(begin, end) + width + 6
        if right > RIGHT - 70:
            parts.append(_text(_x(begin, end) - 6, y + 15, _ms(finish - begin), "ms", "end"))
        else:
            parts.append(_text(right, y + 15, _ms(finish - begin), "ms"))
    return parts


def _x(ms: float, end: float) -> float:
    return LEFT + (RIGHT - LEFT) * ms / end


def _ms(value: float) -> str:
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _arrow(path: str) -> str:
    return f'<path class="line" d="{path}"/>'


def _box(x: int, y: int, width: int, title: str, what: str, ms: str, *, ours: bool = False) -> list[str]:
    middle = x + width / 2
    return [
        f'<rect class="box{" ours" if ours else ""}" x="{x}" y="{y}" width="{width}" height="80"/>',
        _text(middle, y + 26, title, "t", "middle"),
        _text(middle, y + 47, what, "s", "middle"),
        _text(middle, y + 67, ms, "ms", "middle"),
    ]

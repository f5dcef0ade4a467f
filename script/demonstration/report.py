"""What the demonstration prints: for a person to read, and plain enough for a script."""

import textwrap

from .question import Answered, Found

WIDTH = 100


def section(title: str, text: str) -> str:
    """Return a titled paragraph."""
    lines = [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(paragraph, WIDTH - 2, subsequent_indent="  " if paragraph.startswith("- ") else "")
    ]
    return "\n".join([f"\n{title}", *(f"  {line}" for line in lines)])


def table(title: str, unit: str, rows: dict[str, float], digits: int) -> str:
    """Return numbers under each other."""
    width = max(len(name) for name in rows)
    lines = [f"  {name:<{width}}  {value:>9.{digits}f} {unit}" for name, value in rows.items()]
    return "\n".join([f"\n{title}", *lines])


def timing_rows(found: Found, answered: Answered) -> dict[str, float]:
    """Return where the time went, in ms, from the innermost part to the whole."""
    stages = {f"server: {name}": value for name, value in found.stages.items() if name != "total"}
    return {
        **stages,
        "server: total": found.stages["total"],
        "action get_context, there and back": found.round_trip,
        "pipeline: intent stage": answered.intent_stage,
        "pipeline: end to end": answered.end_to_end,
    }

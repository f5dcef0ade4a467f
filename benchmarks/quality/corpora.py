"""What is measured on: memories, and questions with the memories that answer them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
import json
from pathlib import Path
import re
from typing import Any

from npu_memory_server.cli.reading import Expected, JudgedQuestion, memory_to_import, question_to_evaluate, read_lines
from npu_memory_server.wire import Kind, RecallRequest, RememberRequest, from_data

HOUSEHOLD = Path(__file__).resolve().parents[2] / "samples" / "household"
ASKING = {"top_k": 10, "budget_ms": 60_000.0}

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
"""Of LoCoMo's questions, by their numbers in its file."""
ADVERSARIAL = CATEGORIES[5]
_SESSION = re.compile(r"session_(\d+)")
_TURN = re.compile(r"D:?(\d+):(\d+)")
BETWEEN_TURNS = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Memories in the order in which they were said, and questions to them alone."""

    name: str
    memories: tuple[RememberRequest, ...]
    questions: tuple[JudgedQuestion, ...]


def household() -> Corpus:
    """Return the sample household."""
    memories = read_lines(HOUSEHOLD / "memories.jsonl", memory_to_import)
    questions = read_lines(HOUSEHOLD / "questions.jsonl", partial(question_to_evaluate, common=ASKING))
    return Corpus(
        "sample household",
        tuple(line.value for line in memories if line.value is not None),
        tuple(line.value for line in questions if line.value is not None),
    )


def locomo(path: Path) -> Iterator[Corpus]:
    """Yield the conversations of a copy of LoCoMo (Maharana et al., 2024), turn by turn; none comes with this project.

    A turn is its text with the caption of its photo, if any; one is said a few seconds after the other. Questions are
    asked the day after the last session. Evidence is repaired (`D:1:3`, two ids in one text) and what then names no
    turn is dropped, as are questions without any.
    """
    for number, entry in enumerate(json.loads(path.read_text(encoding="utf-8")), 1):
        turns = list(_turns(entry["conversation"]))
        known = {turn.memory_id for turn in turns}
        last = max(datetime.fromisoformat(turn.created_at) for turn in turns if turn.created_at)
        asked_at = (last + timedelta(days=1)).isoformat()
        questions = []
        for place, question in enumerate(entry["qa"], 1):
            evidence = {f"D{int(a)}:{int(b)}" for a, b in _TURN.findall(" ".join(question.get("evidence") or []))}
            answers = tuple(sorted(evidence & known))
            if not answers:
                continue
            request = from_data(RecallRequest, {**ASKING, "text": question["question"], "asked_at": asked_at})
            expected = Expected(type=CATEGORIES[question["category"]], answers=answers)
            questions.append(JudgedQuestion(f"{number}/{place}", request, expected))
        yield Corpus(f"LoCoMo conversation {number}", tuple(turns), tuple(questions))


def _turns(conversation: Mapping[str, Any]) -> Iterator[RememberRequest]:
    numbers = sorted(int(found[1]) for name in conversation if (found := _SESSION.fullmatch(name)))
    for session in numbers:
        said = conversation[f"session_{session}_date_time"]
        began = datetime.strptime(said, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
        for place, turn in enumerate(conversation[f"session_{session}"]):
            caption = turn.get("blip_caption")
            yield RememberRequest(
                text=f"{turn['text']} (photo: {caption})" if caption else turn["text"],
                memory_id=turn["dia_id"],
                kind=Kind.TURN,
                speaker=turn["speaker"],
                session=f"session {session}",
                created_at=(began + place * BETWEEN_TURNS).isoformat(),
                language="en",
            )

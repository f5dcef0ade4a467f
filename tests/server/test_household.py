"""The sample household asked sixty questions: what a family would ask, against eighteen months of what it said."""

from collections import Counter
import json
from typing import Any

import pytest

from npu_memory_server.memory import Memory
from npu_memory_server.wire import RecallRequest
from tests.server.conftest import HOUSEHOLD

QUESTIONS: list[dict[str, Any]] = [json.loads(line) for line in (HOUSEHOLD / "questions.jsonl").open(encoding="utf-8")]


async def found_for(memory: Memory, question: dict[str, Any]) -> list[str]:
    request = RecallRequest(
        text=question["text"], speaker=question["speaker"], asked_at=question["asked_at"], top_k=5, budget_ms=20_000
    )
    return [found.id for found in (await memory.recall(request)).memories]


def is_answered(question: dict[str, Any], found: list[str]) -> bool:
    needed = set(question["answers"])
    return needed <= set(found) if question["type"] == "several" else bool(needed & set(found))


async def test_the_answer_is_among_five_memories_for_most_questions(household: Memory) -> None:
    answered = Counter({True: 0, False: 0})
    missed = []
    for question in QUESTIONS:
        answers = is_answered(question, await found_for(household, question))
        answered[answers] += 1
        if not answers:
            missed.append(f"{question['id']} ({question['type']})")
    assert len(QUESTIONS) == 60
    assert answered[True] >= 0.85 * len(QUESTIONS), f"not answered: {', '.join(missed)}"


@pytest.mark.parametrize("question", [q for q in QUESTIONS if q["type"] == "direct"][:3], ids=lambda q: q["id"])
async def test_asked_in_its_own_words_the_answer_is_the_first(household: Memory, question: dict[str, Any]) -> None:
    assert (await found_for(household, question))[0] in question["answers"]


async def test_the_household_is_whole(household: Memory) -> None:
    status = await household.status()
    assert (status.memories, status.pending_embeddings) == (742, 0)
    assert await household.faults() == []

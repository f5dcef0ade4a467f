"""What a turn leaves unsaid was said before it: talks as a recognizer writes them, and who may read them."""

from datetime import UTC, datetime, timedelta

import pytest

from npu_memory_server.memory import Memory
from npu_memory_server.retrieval.signals import is_question
from npu_memory_server.wire import Kind, RecallRequest, RememberRequest, Why

BEGAN = datetime(2026, 3, 3, 18, tzinfo=UTC)
CALM_MS = 30_000.0
IRON = (
    "do you have an iron somewhere",
    "i use the table for that",
    "and where is it",
    "on the wardrobe behind the tent",
)
OTHERS = (
    "The tent has a hole near the door, the patch is in the bag.",
    "on the balcony there is room for a second chair",
    "the table wobbles again",
    "behind the wardrobe is mold, call the landlady",
    "An ironing board costs forty euros at the market.",
    "the cat sleeps on the wardrobe in winter",
)


async def tell(memory: Memory, *turns: str, session: str | None, scope: str = "household", hour: int = 0) -> list[str]:
    """Remember the turns of a talk between two people, and return their ids."""
    stored = [
        await memory.remember(
            RememberRequest(
                text=text,
                kind=Kind.TURN,
                speaker=("Resi", "Oyin")[number % 2],
                session=session,
                scope=scope,
                created_at=(BEGAN + timedelta(hours=hour, seconds=8 * number)).isoformat(),
            )
        )
        for number, text in enumerate(turns)
    ]
    await memory.embedded()
    return [one.memory_id for one in stored]


async def whys(memory: Memory, text: str, scopes: tuple[str, ...] = ("household",)) -> dict[str, Why]:
    """Return why each memory was found, best first, by its text."""
    request = RecallRequest(text=text, scopes=scopes, explain=True, top_k=10, budget_ms=CALM_MS)
    found = (await memory.recall(request)).memories
    return {one.text: one.why for one in found if one.why is not None}


async def test_an_answer_that_does_not_say_what_it_is_about_is_found_by_what_was_asked(memory: Memory) -> None:
    for hour, text in enumerate(OTHERS):
        await tell(memory, text, session=None, hour=hour)
    alone = list(await whys(memory, "Where is the iron?"))
    await tell(memory, *IRON, session="evening", hour=20)
    assert IRON[3] not in alone
    found = list(await whys(memory, "Where is the iron?"))
    assert found.index(IRON[3]) < 5
    alike = [text for text in OTHERS if "wardrobe" in text or "tent" in text]
    assert all(found.index(IRON[3]) < found.index(text) for text in alike)


async def test_what_the_asker_may_not_see_lends_nothing_to_the_turn_after_it(memory: Memory) -> None:
    answer = "in the cellar under the stairs"
    await tell(memory, "where did you hide the iron", session="secret", scope="person:resi")
    await tell(memory, answer, session="secret", hour=1)
    outsider = (await whys(memory, "Where is the iron?"))[answer]
    insider = (await whys(memory, "Where is the iron?", ("household", "person:resi")))[answer]
    lent = [{one.signal: one.value for one in why.contributions}.get("turn before", 0) for why in (outsider, insider)]
    assert lent[0] == 0 < lent[1]
    assert (outsider.rerank or 0) < (insider.rerank or 0)


async def test_what_was_said_in_the_time_that_the_question_names_comes_first(memory: Memory) -> None:
    for month in ("01", "04", "09"):
        await memory.remember(RememberRequest(text="paid the chimney sweep", created_at=f"2026-{month}-10T10:00:00Z"))
    await memory.embedded()
    for when, number in (("last spring", 4), ("in January", 1), ("two months ago", 9)):
        text = f"what did we pay the chimney sweep {when}"
        request = RecallRequest(text=text, asked_at="2026-11-17T10:00:00Z", budget_ms=CALM_MS)
        best = (await memory.recall(request)).memories[0]
        assert datetime.fromisoformat(best.created_at).month == number


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Where is the iron?", True),
        ("i use the table where is the iron", True),
        ("and when's the checkup", True),
        ("does the cat eat twice", True),
        ("wo ist das bügeleisen", True),
        ("it's on top of the wardrobe", False),
        ("the man who sells buttons has a stall by the fountain and he knows where the records are from too", False),
    ],
)
def test_a_question_is_known_without_its_mark(text: str, asks: bool) -> None:
    assert is_question(text) is asks

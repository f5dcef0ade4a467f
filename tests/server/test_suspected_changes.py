"""What may have changed and is not sure: nothing is closed, but the newer of two memories goes first."""

import json
from pathlib import Path

import pytest

from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.memory import Memory
from npu_memory_server.retrieval.moments import asks_back
from npu_memory_server.wire import CorrectionState, ForgetRequest, RecallRequest, RevertCorrectionRequest
from tests.server.conftest import OpenMemory
from tests.server.test_corrections import CALM_MS, FIRST_DAY, ask, noticed, tell

HOUSEHOLDS = Path(__file__).parents[2] / "benchmarks" / "quality" / "households"

DOCTOR = "Dad's heart doctor is Dr. Osgood at the Lakeside clinic."
CARDIOLOGIST = "dad's cardiologist is now doctor Bhattacharya"
WHO = "Who is Dad's heart doctor?"

CHANGED = [
    ("The club secretary is Fergal Noonan.", "fergal stepped down, grainne is our secretary", "Who is the secretary?"),
    (
        "the gas bottles come from Petersen",
        "Petersen closed down, so a company called Nordgas brings the bottles",
        "Who brings the gas bottles?",
    ),
    (
        "the parrot is called Captain",
        "it turned out the parrot is a lady, so we say Captainess",
        "What is the parrot called?",
    ),
    (
        "Parking at the station is four dollars.",
        "I have to pay six dollars to park at the station these days",
        "What does parking at the station cost?",
    ),
]
APART = [
    ("the left bay has the eights", "the right bay has the sculls now", "What is in the left bay?"),
    ("Mom's pill is in the blue box.", "Dad's pill is in the green box now.", "Where is Mom's pill?"),
    ("The code of locker 4 is 1187.", "The code of locker 5 is 2298 now.", "What is the code of locker 4?"),
    ("Rain for July: 112 millimeters.", "Rain for August: 61 millimeters.", "How much rain was there in July?"),
    (
        "the smoke alarm in the hall takes a nine volt battery",
        "the smoke alarm in the kitchen takes double a batteries now",
        "What battery goes in the smoke alarm in the hall?",
    ),
]


async def order(memory: Memory, question: str, top_k: int = 5) -> list[str]:
    """Return the ids of what is found, best first."""
    return [item.id for item in (await ask(memory, question, top_k)).memories]


class TestSayingInOtherWordsThatSomethingIsDifferentNow:
    async def test_the_newer_one_goes_first_and_the_older_one_still_holds(self, memory: Memory) -> None:
        await tell(memory, DOCTOR, "doctor")
        assert await order(memory, WHO) == ["doctor"]
        await tell(memory, CARDIOLOGIST, "cardiologist", 60)

        found = (await ask(memory, WHO)).memories
        assert [item.id for item in found] == ["cardiologist", "doctor"]
        assert [item.valid_to for item in found] == [None, None]

    async def test_it_is_in_no_list(self, memory: Memory) -> None:
        await tell(memory, DOCTOR, "doctor")
        await tell(memory, CARDIOLOGIST, "cardiologist", 60)
        assert await noticed(memory) == []

    @pytest.mark.parametrize(("old", "new", "question"), CHANGED)
    async def test_many_ways_to_say_it_do(self, memory: Memory, old: str, new: str, question: str) -> None:
        await tell(memory, old, "old")
        await tell(memory, new, "new", 60)
        assert (await order(memory, question))[:2] == ["new", "old"]

    async def test_it_says_why_it_stands_there(self, memory: Memory) -> None:
        await tell(memory, DOCTOR, "doctor")
        await tell(memory, CARDIOLOGIST, "cardiologist", 60)
        asked = RecallRequest(text=WHO, budget_ms=CALM_MS, min_relevance=0, explain=True)
        newer, older = (item.why for item in (await memory.recall(asked)).memories)
        assert newer is not None
        assert (newer.perhaps_corrects, newer.corrects) == ("doctor", None)
        assert older is not None
        assert (older.perhaps_corrects, older.outdated) == (None, False)

    async def test_who_wants_only_the_best_gets_the_newer_one(self, memory: Memory) -> None:
        await tell(memory, DOCTOR, "doctor")
        await tell(memory, CARDIOLOGIST, "cardiologist", 60)
        assert await order(memory, WHO, top_k=1) == ["cardiologist"]

    async def test_who_asks_how_it_was_gets_the_older_one_first(self, memory: Memory) -> None:
        await tell(memory, DOCTOR, "doctor")
        await tell(memory, CARDIOLOGIST, "cardiologist", 60)
        assert await order(memory, "Who was Dad's heart doctor before?") == ["doctor", "cardiologist"]

    async def test_it_is_so_after_a_restart_as_well(
        self, tmp_path: Path, open_memory: OpenMemory, embedder: OnnxEmbedder
    ) -> None:
        memory = await open_memory(tmp_path, embedder)
        await tell(memory, DOCTOR, "doctor")
        await tell(memory, CARDIOLOGIST, "cardiologist", 60)
        await memory.close()
        assert await order(await open_memory(tmp_path, embedder), WHO) == ["cardiologist", "doctor"]

    async def test_what_was_proposed_and_refused_no_longer_goes_first(self, memory: Memory) -> None:
        await tell(memory, "The walker lives by the front door.", "door")
        await tell(memory, "we keep the walker next to her bed now because of the nights", "bed", 30)
        (proposed,) = await noticed(memory, CorrectionState.PROPOSED)
        assert await order(memory, "Is the walker by the front door?") == ["bed", "door"]
        await memory.revert_correction(RevertCorrectionRequest(old_id=proposed.old.id, new_id=proposed.new.id))
        assert await order(memory, "Is the walker by the front door?") == ["door", "bed"]

    async def test_when_the_newer_one_is_forgotten_the_older_one_is_left(self, memory: Memory) -> None:
        await tell(memory, DOCTOR, "doctor")
        await tell(memory, CARDIOLOGIST, "cardiologist", 60)
        assert await order(memory, WHO) == ["cardiologist", "doctor"]
        await memory.forget(ForgetRequest(memory_ids=("cardiologist",)))
        assert await order(memory, WHO) == ["doctor"]

    async def test_what_only_one_person_may_see_goes_before_nothing_of_the_others(self, memory: Memory) -> None:
        await tell(memory, DOCTOR, "doctor")
        await tell(memory, CARDIOLOGIST, "cardiologist", 60, scope="person:nora")
        assert await order(memory, WHO) == ["doctor"]


@pytest.mark.parametrize(("one", "other", "question"), APART)
async def test_two_things_that_are_told_apart_stay_in_their_order(
    memory: Memory, one: str, other: str, question: str
) -> None:
    await tell(memory, one, "one")
    await tell(memory, other, "other", 60)
    assert await noticed(memory) == []
    assert (await order(memory, question))[0] == "one"


@pytest.mark.parametrize(
    ("question", "back"),
    [
        ("Who was the vet before Dr. Laird?", True),
        ("Wo war der Schlüssel vorher?", True),
        ("How much rain was there last year?", True),
        ("Where is the key?", False),
        ("What is on this week?", False),
    ],
)
def test_a_question_about_how_it_was_is_recognized(question: str, back: bool) -> None:
    assert asks_back(question, FIRST_DAY) is back


@pytest.mark.parametrize("name", ["elders", "club"])
def test_the_households_of_corrections_name_memories_that_there_are(name: str) -> None:
    def lines(kind: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in (HOUSEHOLDS / name / f"{kind}.jsonl").read_text("utf-8").splitlines()]

    known = {line["id"] for line in lines("memories")}
    pairs = lines("pairs")
    assert {one for pair in pairs for one in (pair["old"], pair["new"])} <= known
    for half in ("development", "held out"):
        assert sum(pair["half"] == half and pair["is"] == "correction" for pair in pairs) == 16
        assert sum(pair["half"] == half and pair["is"] == "apart" for pair in pairs) == 12

"""What each part is worth: every weight is off once, and everything on is what everybody gets."""

from dataclasses import fields

import pytest

from benchmarks.quality.ablation import NO_PARTS, ask_with_each_part_off, settings
from benchmarks.quality.corpora import Corpus
from npu_memory_server.asking import RecallDefaults
from npu_memory_server.cli.reading import Expected, JudgedQuestion
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.retrieval.weights import Weights
from npu_memory_server.wire import RecallRequest, RememberRequest, Reranker, Strategy


def test_every_weight_is_off_in_one_setting_and_as_it_is_in_the_others() -> None:
    usual = Weights()
    changed = {
        name: [one.name for one in fields(Weights) if getattr(setting.weights, one.name) != getattr(usual, one.name)]
        for name, setting in settings().items()
    }
    parts = {one.name for one in fields(Weights)} - NO_PARTS

    assert changed["nothing"] == []
    assert all(len(names) <= 1 for names in changed.values())
    assert {names[0] for names in changed.values() if names} == parts


def test_everything_on_is_the_default() -> None:
    setting = settings()["nothing"]

    assert (setting.strategy, setting.reranker) == (RecallDefaults().strategy, RecallDefaults().reranker)
    assert settings()["the reranker"].reranker is Reranker.NONE
    assert settings()["all but the vectors"].strategy is Strategy.VECTOR


async def test_a_part_that_decides_is_missed(embedder: OnnxEmbedder) -> None:
    memories = tuple(
        RememberRequest(text=text, memory_id=memory_id, speaker=speaker)
        for memory_id, speaker, text in (
            ("anna", "Anna", "The spare key is under the blue pot."),
            ("ben", "Ben", "The spare key is under the blue pot."),
        )
    )
    asked = RecallRequest(text="where did Anna say the spare key is", top_k=10, budget_ms=60_000.0)
    questions = (JudgedQuestion("1", asked, Expected(type="who", answers=("anna",))),)

    found = await ask_with_each_part_off([Corpus("two", memories, questions)], embedder)

    assert set(found) == set(settings())
    assert found["nothing"][0].found[0] == "anna"
    assert {name for name, judged in found.items() if len(judged) != 1} == set()


@pytest.mark.parametrize("name", ["all but the words", "all but the vectors"])
def test_with_one_leg_alone_there_is_no_other(name: str) -> None:
    assert settings()[name].strategy in {Strategy.LEXICAL, Strategy.VECTOR}

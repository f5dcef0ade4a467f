"""How good the answers are: figures that can be worked out by hand, and the command that takes them."""

from collections.abc import Callable
import json
import math
from pathlib import Path
import subprocess
import tempfile
from typing import Any

from hypothesis import given, strategies as st
import pytest

from npu_memory_server.__main__ import main
from npu_memory_server.evaluation import (
    Judged,
    estimate,
    evaluate,
    hit_at,
    is_above,
    ndcg,
    ranking,
    recall_at,
    reciprocal_rank,
)
from tests.server.conftest import HOUSEHOLD

IDS = [f"m-{number}" for number in range(20)]
RANKINGS = st.lists(st.sampled_from(IDS), unique=True, max_size=15)
ANSWERS = st.sets(st.sampled_from(IDS), min_size=1, max_size=6)
FIGURES = [
    recall_at,
    ndcg,
    reciprocal_rank,
    lambda found, answers, k: hit_at(found, answers, k, all_needed=False),
    lambda found, answers, k: hit_at(found, answers, k, all_needed=True),
]
Figure = Callable[[list[str], set[str], int], float]


def judged(type_: str, found: str, answers: str, outdated: str = "", *, is_empty: bool = False) -> Judged:
    return Judged(
        id=f"{type_}: {found}",
        type=type_,
        found=tuple(found.split()),
        is_empty=is_empty,
        answers=frozenset(answers.split()),
        outdated=frozenset(outdated.split()),
    )


# One question


def test_recall_is_the_share_of_the_answers_among_the_first() -> None:
    assert [recall_at(["x", "a", "y", "b"], {"a", "b", "c"}, k) for k in (1, 2, 3, 4, 10)] == pytest.approx(
        [0, 1 / 3, 1 / 3, 2 / 3, 2 / 3]
    )


def test_a_hit_is_one_answer_or_all_where_all_are_needed() -> None:
    found = ["x", "a", "y", "b"]
    assert [hit_at(found, {"a", "b"}, k, all_needed=False) for k in (1, 2, 4)] == [0, 1, 1]
    assert [hit_at(found, {"a", "b"}, k, all_needed=True) for k in (1, 2, 4)] == [0, 0, 1]


def test_the_reciprocal_rank_is_that_of_the_first_answer_and_none_beyond_the_cutoff() -> None:
    found = ["x", "y", "a", "b"]
    assert reciprocal_rank(found, {"a", "b"}, 10) == pytest.approx(1 / 3)
    assert reciprocal_rank(found, {"a", "b"}, 2) == 0


def test_ndcg_counts_a_late_answer_less_and_divides_by_the_best_there_could_be() -> None:
    gained = 1 / math.log2(3) + 1 / math.log2(5)
    best = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(["x", "a", "y", "b"], {"a", "b", "c"}, 10) == pytest.approx(gained / best)
    assert round(gained / best, 4) == 0.4982
    assert ndcg(["a", "b"], {"a", "b", "c"}, 2) == pytest.approx(1), "no more than two could be among two"


def test_a_corrected_value_is_above_when_it_comes_before_everything_outdated() -> None:
    assert is_above(["x", "new", "old"], {"new"}, {"old"})
    assert is_above(["new"], {"new"}, {"old"})
    assert not is_above(["old", "new"], {"new"}, {"old"})
    assert not is_above(["old", "new", "older"], {"new"}, {"old", "older"})
    assert not is_above(["x"], {"new"}, {"old"}), "what was not found stands above nothing"


@pytest.mark.parametrize("figure", FIGURES)
@given(found=RANKINGS, answers=ANSWERS, k=st.integers(1, 12))
def test_every_figure_is_from_0_to_1_and_never_falls_when_an_answer_moves_up(
    figure: Figure, found: list[str], answers: set[str], k: int
) -> None:
    value = figure(found, answers, k)
    assert 0 <= value <= 1 + 1e-12
    for rank in range(1, len(found)):
        if found[rank] in answers and found[rank - 1] not in answers:
            better = [*found[: rank - 1], found[rank], found[rank - 1], *found[rank + 1 :]]
            assert figure(better, answers, k) >= value


@pytest.mark.parametrize("figure", FIGURES)
@given(answers=ANSWERS, others=RANKINGS)
def test_every_figure_is_1_for_the_perfect_ranking_and_0_without_any_answer(
    figure: Figure, answers: set[str], others: list[str]
) -> None:
    wrong = [memory for memory in others if memory not in answers]
    assert figure([*sorted(answers), *wrong], answers, 10) == pytest.approx(1)
    assert figure(wrong, answers, 10) == 0


# Their means, and how sure they are


def test_the_interval_of_a_fair_coin_is_the_one_that_the_normal_distribution_gives() -> None:
    # 100 tosses: the standard error is 0.05, and 1.96 of it to either side hold 95 %.
    coin = estimate([0.0, 1.0] * 50)
    assert coin.value == 0.5
    assert coin.count == 100
    assert (coin.low, coin.high) == (pytest.approx(0.402, abs=0.015), pytest.approx(0.598, abs=0.015))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_an_interval_stays_within_the_values_and_is_the_same_every_time(values: list[float]) -> None:
    made = estimate(values)
    assert min(values) - 1e-9 <= made.low <= made.high <= max(values) + 1e-9
    assert made.value == pytest.approx(sum(values) / len(values))
    assert estimate(values) == made


@given(st.floats(0, 1), st.integers(1, 50))
def test_there_is_no_doubt_where_all_questions_went_alike(value: float, count: int) -> None:
    made = estimate([value] * count)
    assert (made.value, made.low, made.high) == pytest.approx((value, value, value))


def test_more_questions_make_it_surer() -> None:
    few, many = estimate([0.0, 1.0] * 10), estimate([0.0, 1.0] * 1000)
    assert many.high - many.low < (few.high - few.low) / 5


def test_without_values_there_is_nothing_to_estimate() -> None:
    with pytest.raises(ValueError, match="nothing to estimate"):
        estimate([])


QUESTIONS = [
    judged("direct", "a x y", "a"),
    judged("direct", "x a y", "a"),
    judged("several", "x a b", "a b"),
    judged("several", "a x y z w b", "a b"),
    judged("corrected", "old new", "new", "old"),
    judged("corrected", "new old", "new", "old", is_empty=True),
    judged("unanswerable", "x y", "", is_empty=True),
    judged("unanswerable", "x y", ""),
]


def test_the_figures_of_a_few_questions_are_those_worked_out_by_hand() -> None:
    evaluation = evaluate(QUESTIONS)
    overall = evaluation.overall
    assert overall is not None
    assert overall.hit_1.value == pytest.approx(3 / 6)
    assert overall.hit_5.value == pytest.approx(5 / 6), "of several, one came too late"
    assert overall.recall_1.value == pytest.approx((1 + 0 + 0 + 0.5 + 0 + 1) / 6)
    assert overall.recall_5.value == pytest.approx((1 + 1 + 1 + 0.5 + 1 + 1) / 6)
    assert overall.recall_10.value == pytest.approx(1)
    assert overall.mrr_10.value == pytest.approx((1 + 0.5 + 0.5 + 1 + 0.5 + 1) / 6)
    assert overall.hit_1.count == 6, "what has no answer is not in the ranking"
    assert list(evaluation.by_type) == ["direct", "several", "corrected"]
    assert evaluation.by_type["direct"].mrr_10.value == pytest.approx(0.75)
    assert evaluation.by_type["several"].hit_5.value == pytest.approx(0.5)
    assert [share and share.value for share in (evaluation.silent, evaluation.silenced, evaluation.corrected)] == [
        pytest.approx(1 / 2),
        pytest.approx(1 / 6),
        pytest.approx(1 / 2),
    ]


def test_what_no_question_asks_for_has_no_figure() -> None:
    evaluation = evaluate([judged("unanswerable", "", "", is_empty=True)])
    assert evaluation.overall is None
    assert evaluation.by_type == {}
    assert evaluation.silenced is None
    assert evaluation.corrected is None
    assert evaluation.silent is not None
    assert ranking([]) is None


# The command

TINY_MEMORIES = [
    {"id": "key", "text": "The spare key hangs in the shed", "created_at": "2026-03-01T10:00:00+00:00"},
    {"id": "vet", "text": "Pickle sees the vet on Friday", "created_at": "2026-03-02T10:00:00+00:00"},
    {"id": "boiler", "text": "The boiler takes pink descaler", "created_at": "2026-03-03T10:00:00+00:00"},
    {"id": "umbrella", "text": "An umbrella stands by the door", "created_at": "2026-03-04T10:00:00+00:00"},
    {"id": "parasol", "text": "Our parasol lies in the attic", "created_at": "2026-03-05T10:00:00+00:00"},
    {
        "id": "gift",
        "text": "The kayak is a surprise",
        "scope": "person:nora",
        "created_at": "2026-03-06T10:00:00+00:00",
    },
]
TINY_QUESTIONS = [
    {"id": "1", "text": "where is the spare key", "type": "direct", "answers": ["key"]},
    {"id": "2", "text": "spare key vet", "type": "several", "answers": ["key", "vet"]},
    {"id": "3", "text": "giraffe", "type": "unanswerable", "answers": []},
    {"id": "4", "text": "zebra", "type": "direct", "answers": ["boiler"]},
    {"id": "5", "text": "umbrella", "type": "corrected", "answers": ["parasol"], "outdated": ["umbrella"]},
    {"id": "6", "text": "parasol", "type": "corrected", "answers": ["parasol"], "outdated": ["umbrella"]},
    {"id": "7", "text": "kayak", "type": "private", "answers": ["gift"], "scope": ["household", "person:nora"]},
    {"id": "8", "text": "kayak", "type": "private", "answers": ["gift"]},
]


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def memories(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "memories.jsonl", TINY_MEMORIES)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "questions.jsonl", TINY_QUESTIONS)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which temporary ones are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model_directory: Path
) -> Run:
    """Return what runs a command here; the household's own memories are in the folder `own`."""
    monkeypatch.setenv("NPU_MEMORY_DATA", str(tmp_path / "own"))
    for name in ("RAG_STRATEGY", "TOP_K", "RERANK_MODEL"):
        monkeypatch.delenv(name, raising=False)

    def run_here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in (*arguments, "--model-dir", model_directory)])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        said = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, said.out, said.err)

    return run_here


def test_a_tiny_household_gets_the_figures_worked_out_by_hand(run: Run, memories: Path, questions: Path) -> None:
    done = run("evaluate", memories, questions, "--strategy", "lexical", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    found = {question["id"]: question["found"] for question in report["questions"]}
    assert found == {
        "1": ["key"], "2": ["key", "vet"], "3": [], "4": [],
        "5": ["umbrella"], "6": ["parasol"], "7": ["gift"], "8": [],
    }  # fmt: skip
    overall = {name: round(figure["value"], 6) for name, figure in report["overall"].items()}
    assert overall["hit_1"] == round(4 / 7, 6)
    assert overall["hit_5"] == round(4 / 7, 6)
    assert overall["recall_1"] == 0.5
    assert overall["recall_5"] == overall["recall_10"] == round(4 / 7, 6)
    assert overall["mrr_10"] == overall["ndcg_10"] == round(4 / 7, 6)
    assert report["by_type"]["several"]["recall_1"]["value"] == 0.5
    assert report["by_type"]["private"]["hit_1"]["value"] == 0.5, "of two that ask the same, one may see it"
    assert report["silent"] == {"value": 1, "low": 1, "high": 1, "count": 1}
    assert report["silenced"]["value"] == pytest.approx(2 / 7)
    assert report["corrected"]["value"] == 0.5
    assert report["memories"] == 6
    assert report["options"]["strategy"] == "lexical"


def test_the_table_has_a_line_for_each_type_and_a_word_of_warning(run: Run, memories: Path, questions: Path) -> None:
    done = run("evaluate", memories, questions, "--strategy", "lexical")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["type", "n", "first", "hit@5", "R@1", "R@5", "R@10", "MRR@10", "nDCG@10"]
    assert [line.split()[:2] for line in lines[2:7]] == [
        ["direct", "2"], ["several", "1"], ["corrected", "2"], ["private", "2"], ["all", "7"],
    ]  # fmt: skip
    assert "50.0 (0-100)" in lines[2]
    assert "proves nothing" in done.stdout


def test_nothing_is_left_behind_and_the_memories_of_the_household_are_not_touched(
    run: Run, memories: Path, questions: Path, scratch: Path, tmp_path: Path
) -> None:
    assert run("evaluate", memories, questions).returncode == 0
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "own").exists()


def test_a_relevance_threshold_empties_answers_and_leaves_the_ranking_alone(
    run: Run, memories: Path, questions: Path
) -> None:
    def measured(*options: str) -> dict[str, Any]:
        return json.loads(run("evaluate", memories, questions, "--strategy", "vector", "--json", *options).stdout)

    everything, nothing = measured("--min-relevance", "0"), measured("--min-relevance", "1")
    assert (everything["silent"]["value"], everything["silenced"]["value"]) == (0, 0)
    assert (nothing["silent"]["value"], nothing["silenced"]["value"]) == (1, 1)
    assert everything["overall"] == nothing["overall"]


def test_a_folder_of_its_own_is_kept_and_used_again(
    run: Run, memories: Path, questions: Path, scratch: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    first = run("evaluate", memories, questions, "--json", "--data-dir", folder)
    again = run("evaluate", memories, questions, "--json", "--data-dir", folder)
    assert first.returncode == again.returncode == 0
    assert json.loads(first.stdout) == json.loads(again.stdout)
    assert len(run("list", "--all", "--json", "--data-dir", folder).stdout.splitlines()) == len(TINY_MEMORIES)
    assert list(scratch.iterdir()) == []


def test_a_folder_with_other_memories_is_refused_and_stays_as_it_is(
    run: Run, memories: Path, questions: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "somebody"
    assert run("remember", "The piano was tuned in May", "--data-dir", folder).returncode == 0
    refused = run("evaluate", memories, questions, "--data-dir", folder)
    assert refused.returncode == 2
    assert "has memories that are not in the file" in refused.stderr
    assert "piano" not in refused.stderr
    assert len(run("list", "--all", "--json", "--data-dir", folder).stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"text": "where", "answers": ["kye"]}, "line 9: there is no memory 'kye'"),
        ({"text": "where", "answers": ["key"], "outdated": ["kye"]}, "line 9: there is no memory 'kye'"),
        ({"text": "where"}, "line 9: The field 'answers' is missing"),
        ({"text": "where", "answers": "key"}, "line 9: The field 'answers' must be a list"),
        ({"answers": ["key"]}, "line 9: The field 'text' is missing"),
    ],
)
def test_a_question_that_cannot_be_judged_is_named_and_nothing_is_measured(
    line: dict[str, Any], complaint: str, run: Run, memories: Path, tmp_path: Path
) -> None:
    questions = write_lines(tmp_path / "faulty.jsonl", [*TINY_QUESTIONS, line])
    refused = run("evaluate", memories, questions)
    assert refused.returncode == 2
    assert complaint in refused.stderr
    assert refused.stdout == ""


def test_of_many_faults_some_are_shown_and_the_others_counted(run: Run, memories: Path, tmp_path: Path) -> None:
    questions = write_lines(tmp_path / "faulty.jsonl", [{"text": "x", "answers": ["nowhere"]}] * 25)
    said = run("evaluate", memories, questions).stderr
    assert said.count("there is no memory 'nowhere'") == 10
    assert "and 15 more" in said


def test_a_faulty_or_empty_file_of_memories_is_refused(run: Run, questions: Path, tmp_path: Path) -> None:
    faulty = write_lines(tmp_path / "memories.jsonl", [*TINY_MEMORIES, {"id": "empty", "text": ""}])
    assert "line 7: The field 'text'" in run("evaluate", faulty, questions).stderr
    twice = write_lines(tmp_path / "memories.jsonl", [*TINY_MEMORIES, {**TINY_MEMORIES[0], "text": "Something else"}])
    assert "line 7: " in run("evaluate", twice, questions).stderr
    (tmp_path / "memories.jsonl").write_text("")
    assert "has no lines" in run("evaluate", tmp_path / "memories.jsonl", questions).stderr


def test_what_the_embedder_could_not_do_is_told_of(
    run: Run, memories: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from npu_memory_server.embedding.embedder import TextEmbedder

    whole = TextEmbedder.embed

    def fails_on_zebras(self: TextEmbedder, text: str, prefix: str = "", *, bulk: bool = False) -> Any:
        if text == "zebra":
            raise RuntimeError("the driver is gone")
        return whole(self, text, prefix, bulk=bulk)

    monkeypatch.setattr(TextEmbedder, "embed", fails_on_zebras)
    done = run("evaluate", memories, questions)
    assert done.returncode == 0
    assert "Note: not every answer is what was asked for: The question could not be embedded." in done.stderr


def test_the_sample_household_can_be_evaluated_as_it_is_shipped(run: Run) -> None:
    done = run(
        "evaluate", HOUSEHOLD / "memories.jsonl", HOUSEHOLD / "questions.jsonl", "--strategy", "lexical", "--json"
    )
    report = json.loads(done.stdout)
    assert report["memories"] == 742
    assert len(report["questions"]) == 300
    assert report["overall"]["hit_1"]["count"] == 282
    assert report["silent"]["count"] == 18
    assert report["corrected"]["count"] == 32
    assert set(report["by_type"]) == {
        "direct", "paraphrase", "temporal", "corrected", "before", "several", "who", "misheard", "foreign",
    }  # fmt: skip

"""`npu-memory evaluate`: how well a file of questions is answered from a file of memories."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
import json
from pathlib import Path
import sys
import tempfile
from typing import Any, TypeVar

from tqdm import tqdm

from ..errors import InvalidRequestError
from ..evaluation import SEVERAL, Estimate, Evaluation, Judged, Ranking, evaluate
from ..settings import Settings
from ..wire import MAX_PAGE, ListRequest
from .importing import store
from .opening import Memories, open_memory
from .reading import JudgedQuestion, memory_to_import, question_to_evaluate, read_lines
from .tables import text_table

Parsed = TypeVar("Parsed")

FIGURES = {
    "first": "hit_1",
    "hit@5": "hit_5",
    "R@1": "recall_1",
    "R@5": "recall_5",
    "R@10": "recall_10",
    "MRR@10": "mrr_10",
    "nDCG@10": "ndcg_10",
}
MAX_FAULTS = 10
EXPLANATION = f"""\
Percent, with 95 % bootstrap intervals. first: an answer comes first. hit@5: any answer is among the first five, for
'{SEVERAL}' all of them are. R@k: the share of a question's answers among the first k. The ranking is taken without
a relevance threshold; empty answers are counted with the one that applies.
This measures these questions, these memories and these settings; it proves nothing about others."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The answers to all questions; `degraded` are the reasons for which less was done than asked, each once."""

    judged: tuple[Judged, ...]
    degraded: tuple[str, ...]


@contextmanager
def directory(chosen: Path | None) -> Iterator[Path]:
    """Give the chosen data directory, or a temporary one that is removed afterwards."""
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="npu-memory-evaluate-") as folder:
        yield Path(folder)


async def evaluate_files(
    settings: Settings, memory_file: Path, question_file: Path, common: Mapping[str, Any], *, as_json: bool
) -> int:
    """Import the memories, ask the questions with `common` options and print how it went; returns the exit code.

    Raises `InvalidRequestError` for a faulty line, an answer that is no memory, or a data directory with others in it.
    """
    memories = await asyncio.to_thread(_whole_file, memory_file, memory_to_import)
    questions = await asyncio.to_thread(_whole_file, question_file, partial(question_to_evaluate, common=common))
    known = {request.memory_id for _, request in memories}
    _require_known(question_file, questions, known)
    async with open_memory(settings) as memory:
        await _require_no_others(memory, known, settings.data_directory)
        refused = await store(memory, memories, len(memories), Counter())
        if refused:
            raise InvalidRequestError(f"{memory_file}: {_listed(refused)}")
        asked = await ask_all(memory, [question for _, question in questions])
    evaluation = evaluate(asked.judged)
    if as_json:
        print(json.dumps(_data(evaluation, asked, common, len(memories)), ensure_ascii=False))
    else:
        print(_report(evaluation))
    for reason in asked.degraded:
        print(f"Note: not every answer is what was asked for: {reason}", file=sys.stderr)
    return 0


async def ask_all(memories: Memories, questions: Sequence[JudgedQuestion], label: str = "asking") -> Asked:
    """Ask the questions one after the other, and without a relevance threshold as well for the ranking."""
    judged = []
    degraded: dict[str, None] = {}
    for number, question in enumerate(tqdm(questions, desc=label, unit=" questions", disable=None), 1):
        request = question.request
        shown = await memories.recall(request)
        ranked = await memories.recall(replace(request, min_relevance=0.0)) if request.min_relevance != 0 else shown
        degraded |= {answer.degraded: None for answer in (shown, ranked) if answer.degraded}
        judged.append(
            Judged(
                id=question.id or str(number),
                type=question.expected.type,
                found=tuple(memory.id for memory in ranked.memories),
                is_empty=not shown.memories,
                answers=frozenset(question.expected.answers),
                outdated=frozenset(question.expected.outdated),
            )
        )
    return Asked(tuple(judged), tuple(degraded))


def figure_cells(ranking: Ranking, *, with_interval: bool = True) -> list[str]:
    """Return the cells of a table for the columns of `FIGURES`."""
    return [percent(getattr(ranking, name), with_interval=with_interval) for name in FIGURES.values()]


def percent(estimate: Estimate | None, *, with_interval: bool = True) -> str:
    """Return an estimate in percent, such as `61.2 (55-67)`."""
    if estimate is None:
        return "-"
    value = f"{100 * estimate.value:.1f}"
    return f"{value} ({100 * estimate.low:.0f}-{100 * estimate.high:.0f})" if with_interval else value


def _whole_file(path: Path, parse: Callable[[Mapping[str, Any]], Parsed]) -> list[tuple[int, Parsed]]:
    """Return the lines, numbered, of a file in which all have to be right: with some left out, it is another one."""
    lines = list(read_lines(path, parse))
    faults = [f"line {line.number}: {line.fault}" for line in lines if line.value is None]
    if faults:
        raise InvalidRequestError(f"{path}: {_listed(faults)}")
    if not lines:
        raise InvalidRequestError(f"{path} has no lines.")
    return [(line.number, line.value) for line in lines if line.value is not None]


def _require_known(path: Path, questions: Sequence[tuple[int, JudgedQuestion]], known: Collection[str | None]) -> None:
    faults = [
        f"line {number}: there is no memory '{memory}'"
        for number, question in questions
        for memory in (*question.expected.answers, *question.expected.outdated)
        if memory not in known
    ]
    if faults:
        raise InvalidRequestError(f"{path}: {_listed(faults)}")


async def _require_no_others(memories: Memories, known: Collection[str | None], folder: Path) -> None:
    """Refuse a data directory with other memories: it may be somebody's, and they would be found."""
    cursor = None
    while True:
        page = await memories.list(ListRequest(limit=MAX_PAGE, cursor=cursor))
        if any(memory.id not in known for memory in page.memories):
            raise InvalidRequestError(
                f"{folder} has memories that are not in the file. Give a new folder, or leave --data-dir out."
            )
        if (cursor := page.next_cursor) is None:
            return


def _listed(faults: Sequence[str]) -> str:
    more = f"; and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
    return f"{'; '.join(faults[:MAX_FAULTS])}{more}."


def _report(evaluation: Evaluation) -> str:
    rows = [[name, str(made.recall_1.count), *figure_cells(made)] for name, made in evaluation.by_type.items()]
    if evaluation.overall:
        rows.append(["all", str(evaluation.overall.recall_1.count), *figure_cells(evaluation.overall)])
    shares = [
        [what, str(share.count), percent(share)]
        for what, share in (
            ("unanswerable questions that got nothing, as they should", evaluation.silent),
            ("answerable questions that got nothing", evaluation.silenced),
            ("corrected values above all outdated ones", evaluation.corrected),
        )
        if share
    ]
    tables = [text_table(["type", "n", *FIGURES], rows)] if rows else []
    return "\n\n".join([*tables, text_table(["", "n", "share"], shares), EXPLANATION])


def _data(evaluation: Evaluation, asked: Asked, common: Mapping[str, Any], memories: int) -> dict[str, Any]:
    """Return everything as JSON data; shares and scores from 0 to 1."""
    return {
        "memories": memories,
        "options": dict(common),
        **asdict(evaluation),
        "degraded": asked.degraded,
        "questions": [
            {"id": question.id, "type": question.type, "found": question.found, "is_empty": question.is_empty}
            for question in asked.judged
        ],
    }

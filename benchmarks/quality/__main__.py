"""How good the answers are beside those of other ways, in one table.

    python -m benchmarks.quality [--locomo FILE] [--ablate] [--json FILE] [--markdown]

Runs the sample household, and LoCoMo where a copy is given by its path, through this project's memory in its settings,
through plain BM25 and through the hybrid of the system before it; or, with --ablate, through this project's memory
alone with each part of its retrieval off in turn. Cross-encoders that were fetched are among the settings. It needs
benchmarks/requirements.txt, the server's package and its models (NPU_MEMORY_MODEL_DIR).
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
import json
import os
from pathlib import Path
import sys

from npu_memory_server.cli.evaluating import percent
from npu_memory_server.cli.tables import Row, markdown_table, text_table
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.embedding.manifest import Precision
from npu_memory_server.evaluation import Estimate, Evaluation, Judged, Ranking, evaluate
from npu_memory_server.settings import EMBEDDER

from .ablation import ask_with_each_part_off
from .baselines import baselines
from .corpora import ADVERSARIAL, Corpus, household, locomo
from .memory import ask_in_every_setting

Answers = Mapping[str, Sequence[Judged]]
Evaluations = Mapping[str, Evaluation]
Table = Callable[[Row, Sequence[Row]], str]

LEGEND = """\
Percent. Household: an answer comes first; one is among five (where several are needed: all are); the corrected value is
above all outdated ones; unanswerable questions, and answerable ones, that got nothing. LoCoMo: single turns, categories
1 to 4: any evidence among five (H@5), the share of it among five and ten (R@5, R@10), MRR and nDCG at ten."""

ABLATION_LEGEND = """\
Percent, with each part off in turn. Household: an answer comes first; one is among five, and the difference to all on;
the corrected value is above all outdated ones; answerable questions that got nothing. LoCoMo, single turns, categories
1 to 4: the share of the evidence among five and ten. One question of the household is a third of a point."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--locomo", type=Path, metavar="FILE", help="a copy of locomo10.json, or a part of it")
    parser.add_argument("--ablate", action="store_true", help="say what each part is worth instead")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures with their intervals as well")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    options = parser.parse_args()
    models = Path(os.environ["NPU_MEMORY_MODEL_DIR"]) / EMBEDDER
    way = ablations if options.ablate else answers
    evaluations = {"household": evaluated(asyncio.run(way([household()], models)))}
    if options.locomo:
        found = asyncio.run(way(locomo(options.locomo), models))
        evaluations["LoCoMo"] = evaluated(found, lambda judged: judged.type != ADVERSARIAL)
        evaluations["LoCoMo, adversarial"] = evaluated(found, lambda judged: judged.type == ADVERSARIAL)
    table = markdown_table if options.markdown else text_table
    print(ablation_report(evaluations, table) if options.ablate else report(evaluations, table))
    if options.json:
        data = {name: {way: asdict(made) for way, made in ways.items()} for name, ways in evaluations.items()}
        options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


async def answers(corpora: Iterable[Corpus], models: Path) -> Answers:
    """Return what every way finds for the questions of all corpora, by the name of the way."""
    ours, full = OnnxEmbedder.load(models), OnnxEmbedder.load(models, precision=Precision.FP32)
    found: dict[str, list[Judged]] = defaultdict(list)
    for corpus in corpora:
        print(corpus.name, file=sys.stderr)
        for ways in (await ask_in_every_setting(corpus, ours, models.parent), baselines(corpus, full)):
            for name, judged in ways.items():
                found[name] += judged
    return found


async def ablations(corpora: Iterable[Corpus], models: Path) -> Answers:
    """Return what is found for the questions of all corpora with each part off, by its name."""
    return await ask_with_each_part_off(corpora, OnnxEmbedder.load(models))


def evaluated(found: Answers, counts: Callable[[Judged], bool] = lambda judged: True) -> Evaluations:
    """Return the figures of every way, on the questions that count."""
    return {way: evaluate([one for one in judged if counts(one)]) for way, judged in found.items()}


def report(evaluations: Mapping[str, Evaluations], table: Table) -> str:
    """Return the table of everything side by side, and those by type of question."""
    home, talks = evaluations["household"], evaluations.get("LoCoMo", {})
    parts = [_together(home, talks, table), LEGEND, _doubt(home, talks), "Household by type: an answer among five"]
    parts.append(_by_type(home, table, lambda made: _value(made.hit_5)))
    if talks:
        wrong = {way: made.by_type for way, made in evaluations["LoCoMo, adversarial"].items()}
        whole = {way: replace(made, by_type={**made.by_type, **wrong[way]}) for way, made in talks.items()}
        parts.append("LoCoMo by category: R@5 / R@10")
        parts.append(_by_type(whole, table, lambda made: f"{_value(made.recall_5)} / {_value(made.recall_10)}"))
    return "\n\n".join(parts)


def ablation_report(evaluations: Mapping[str, Evaluations], table: Table) -> str:
    """Return the table of what each part is worth: the figures without it, and what that is more or less."""
    home, talks = evaluations["household"], evaluations.get("LoCoMo", {})
    whole = next(iter(home))
    rows = []
    for part, made in home.items():
        ranking, all_on = _ranking(made), _ranking(home[whole])
        row = [part, _value(ranking.hit_1), _value(ranking.hit_5), _difference(ranking.hit_5, all_on.hit_5)]
        row += [_value(made.corrected), _value(made.silenced)]
        if part in talks:
            turns, talk = _ranking(talks[part]), _ranking(talks[whole])
            row += [_value(turns.recall_5), _difference(turns.recall_5, talk.recall_5)]
            row += [_value(turns.recall_10), _difference(turns.recall_10, talk.recall_10)]
        rows.append(row)
    header = ["off", "first", "hit@5", "+/-", "corrected", "silenced"]
    return "\n\n".join([table([*header, *(["R@5", "+/-", "R@10", "+/-"] if talks else [])], rows), ABLATION_LEGEND])


def _difference(estimate: Estimate, whole: Estimate) -> str:
    return f"{100 * (estimate.value - whole.value):+.1f}"


def _together(home: Evaluations, talks: Evaluations, table: Table) -> str:
    header = ["", "first", "hit@5", "corrected", "silent", "silenced"]
    rows = []
    for way, made in home.items():
        ranking = _ranking(made)
        figures = [ranking.hit_1, ranking.hit_5, made.corrected, made.silent, made.silenced]
        if way in talks:
            turns = _ranking(talks[way])
            figures += (turns.hit_5, turns.recall_5, turns.recall_10, turns.mrr_10, turns.ndcg_10)
        rows.append([way, *map(_value, figures)])
    columns = ["H@5", "R@5", "R@10", "MRR@10", "nDCG@10"] if talks else []
    return table([*header, *columns], rows)


def _doubt(home: Evaluations, talks: Evaluations) -> str:
    way = next(iter(home))
    sure = [f"hit@5 {percent(_ranking(home[way]).hit_5)}"]
    if talks:
        sure.append(f"R@5 {percent(_ranking(talks[way]).recall_5)}")
    return f"How sure that is: 95 % intervals of the first row: {', '.join(sure)}."


def _by_type(evaluations: Evaluations, table: Table, cell: Callable[[Ranking], str]) -> str:
    types = next(iter(evaluations.values())).by_type
    header = ["", *(f"{name} ({made.hit_5.count})" for name, made in types.items())]
    return table(header, [[way, *map(cell, made.by_type.values())] for way, made in evaluations.items()])


def _ranking(evaluation: Evaluation) -> Ranking:
    if evaluation.overall is None:
        raise SystemExit("There are no questions that can be answered.")
    return evaluation.overall


def _value(estimate: Estimate | None) -> str:
    return percent(estimate, with_interval=False)


if __name__ == "__main__":
    main()

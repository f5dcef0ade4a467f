"""The words of the commands that measure, check and fetch; nothing is done here."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from ..embedding.preparing import CONVERSIONS
from ..reranking.registry import HUB, MODEL_FILES
from ..wire import (
    MAX_TOP_K,
    Reranker,
    Strategy,
)
from .values import choice, reranker, whole

Commands = argparse._SubParsersAction


def add_ways(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """Add the options of how memories are found."""
    parser.add_argument(
        "--strategy",
        type=choice(Strategy),
        choices=list(Strategy),
        default=environment.get("RAG_STRATEGY") or Strategy.HYBRID,
        help="how they are found (default: hybrid)",
    )
    parser.add_argument(
        "--reranker",
        type=reranker,
        default=environment.get("RERANK_MODEL") or Reranker.MAXSIM,
        metavar="NAME|FOLDER",
        help="what looks at them again: maxsim (default), none, or a cross-encoder as flashrank has it: "
        f"{', '.join(MODEL_FILES)} (see `models fetch`), or a folder with one",
    )

    parser.add_argument(
        "--diversity",
        type=float,
        default=0.0,
        metavar="X",
        help="0 to 1: how much a memory loses that is like a better one (default: 0, off)",
    )


def add_evaluate(
    commands: Commands[argparse.ArgumentParser],
    model: argparse.ArgumentParser,
    as_json: argparse.ArgumentParser,
    environment: Mapping[str, str],
) -> None:
    """Add `evaluate`."""
    evaluate = commands.add_parser(
        "evaluate",
        parents=[model, as_json],
        help="measure how well questions are answered from memories",
        description="Imports the memories into a temporary folder, asks every question and prints recall, MRR and nDCG "
        "by type of question, how often nothing is found, and whether corrected values come before outdated ones, each "
        "with a 95 % bootstrap interval. Your own memories are not touched.",
        epilog="A line of QUESTIONS.jsonl has text and answers (ids of memories; [] if there is nothing to be found), "
        "and optionally id, type, asked_at, speaker, scope, language, outdated (ids of memories that were corrected). "
        "Of a question of the type 'several' all answers are needed, of others any.",
    )
    evaluate.add_argument("memories", type=Path, metavar="MEMORIES.jsonl", help="as import takes it")
    evaluate.add_argument("questions", type=Path, metavar="QUESTIONS.jsonl")
    evaluate.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="keep the imported memories in this folder, for the next time"
    )
    evaluate.add_argument(
        "--top-k", type=whole(10, MAX_TOP_K), default=10, metavar="N", help="how many memories (default: 10)"
    )
    evaluate.add_argument(
        "--min-relevance",
        type=float,
        metavar="X",
        help="0 to 1; below it nothing is shown, and an answer may be empty (default: that of a recall)",
    )
    add_ways(evaluate, environment)


def add_bench(commands: Commands[argparse.ArgumentParser], model: argparse.ArgumentParser) -> None:
    """Add `bench`."""
    bench = commands.add_parser(
        "bench",
        parents=[model],
        help="measure what a question costs on this machine, stage by stage",
        description="Makes a memory in a temporary folder, asks 60 questions of its own in every way and in turns, and "
        "prints median and 95th percentile of each stage in ms, and the median as a multiple of M, the bare inference "
        "of the same questions, beside the earlier system's published figures. Leave the machine alone meanwhile: what "
        "else it does is in the figures, and less in the multiples.",
        epilog="Results have no text, no name of the machine and no path in them, and can be shown to anybody.",
    )
    where = bench.add_mutually_exclusive_group()
    where.add_argument(
        "--memories",
        type=whole(1, 1_000_000),
        default=742,
        metavar="N",
        help="how many memories to make (default: 742, as many as the published figures are for)",
    )
    where.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="ask these memories instead (with the server stopped); the questions are the benchmark's own, and no "
        "memory is added",
    )
    bench.add_argument(
        "--rounds",
        type=whole(1, 1000),
        default=5,
        metavar="N",
        help="how often every question is asked (default: 5; cross-encoders take part in every fifth round)",
    )
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine's description")
    bench.add_argument("--plot", type=Path, metavar="FILE.svg", help="write a picture of them")


def add_check_and_models(
    commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser, as_json: argparse.ArgumentParser
) -> None:
    """Add `check`, `doctor` and `models`."""
    commands.add_parser("check", parents=[common, as_json], help="check the database and the indexes (server stopped)")
    commands.add_parser(
        "doctor",
        parents=[common, as_json],
        help="examine this machine, its NPU and the models, and say what to do",
        description="Looks at the board, the devices and their permissions, Rockchip's library and the kernel's "
        "driver, what a container hides, and the models, and times a sentence on each backend. Ends with 1 if there is "
        "a problem.",
    )
    models = commands.add_parser(
        "models",
        parents=[common, as_json],
        help="show, verify, prepare or remove the models, or fetch a reranker",
        description="list shows what is in the folder of the models, verify compares the files with their checksums, "
        "prepare copies a model package from a folder (--from) or has npu-memory-convert make it, remove deletes one, "
        "and fetch gets a cross-encoder as flashrank serves it. Once it is there nothing is fetched again.",
    )
    models.add_argument("action", choices=["list", "verify", "prepare", "remove", "fetch"])
    models.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help=f"to prepare: {', '.join(CONVERSIONS)}, or any with --from; to fetch: {', '.join(MODEL_FILES)}",
    )
    models.add_argument(
        "--from",
        dest="source",
        metavar="URL|FILE.zip|DIR",
        help=f"a mirror, the file itself (default: {HUB}), or a folder",
    )

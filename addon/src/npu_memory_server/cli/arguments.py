"""The words of the command line; nothing is done here."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from .. import __version__
from ..embedding.manifest import Precision
from ..wire import (
    DEFAULT_PORT,
    HOUSEHOLD,
    MAX_CONTEXT_TOKENS,
    MAX_TOP_K,
    MIN_CONTEXT_TOKENS,
    CorrectionState,
    Kind,
)
from .tool_arguments import Commands, add_bench, add_check_and_models, add_evaluate, add_ways
from .values import choice, core_mask, switch, switch_or_auto, whole

EPILOG = """environment:
  NPU_MEMORY_DATA       the data directory, instead of --data-dir
  NPU_MEMORY_MODEL_DIR  the folder of the model packages, instead of --model-dir
  RAG_STRATEGY, TOP_K, RERANK_MODEL
                        defaults of --strategy, --top-k and --reranker
  NPU_EMBEDDER_ENABLED, NPU_FALLBACK_CPU, NPU_CORE_MASK, RKNN_EMBEDDER_PATH
                        defaults of --npu-embedder, --npu-fallback-cpu, --npu-core-mask and --rknn-embedder-path

With a server running on the data directory the commands speak to it; otherwise they open it themselves.

examples:
  npu-memory remember "The spare key is with the neighbors" --speaker anna
  npu-memory recall "who has the spare key"
  npu-memory import memories.jsonl
  npu-memory serve
"""


def build_parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Return the parser, with the defaults that the environment gives."""
    home = Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "npu-memory"
    parser = argparse.ArgumentParser(
        prog="npu-memory",
        description="A household's long-term memory: keep, find, correct and forget what was said.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"npu-memory {__version__}")
    model = argparse.ArgumentParser(add_help=False)
    with_model = model.add_argument_group("the model")
    with_model.add_argument(
        "--model-dir",
        type=Path,
        metavar="DIR",
        default=Path(environment.get("NPU_MEMORY_MODEL_DIR") or home / "models"),
        help="the folder of the model packages (default: %(default)s)",
    )
    with_model.add_argument(
        "--precision",
        type=Precision,
        choices=list(Precision),
        help="of the embedder on the CPU (default: int8; beside an NPU fp32, which finds the same memories as the NPU)",
    )
    with_model.add_argument(
        "--threads", type=whole(1, 64), default=1, metavar="N", help="threads of one inference (default: 1)"
    )
    _add_npu(model, environment)
    common = argparse.ArgumentParser(add_help=False, parents=[model])
    where = common.add_argument_group("where things are")
    where.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        default=Path(environment.get("NPU_MEMORY_DATA") or home / "data"),
        help="the household's memories (default: %(default)s)",
    )
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON, for programs")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands, common, environment)
    _add_remember(commands, common, as_json)
    _add_recall(commands, common, as_json, environment)
    _add_forget(commands, common, as_json)
    _add_list(commands, common, as_json)
    _add_corrections(commands, common, as_json)
    _add_proposals(commands, common, as_json)
    _add_files(commands, common, as_json)
    add_evaluate(commands, model, as_json, environment)
    add_bench(commands, model)
    add_check_and_models(commands, common, as_json)
    return parser


def _add_npu(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    npu = parser.add_argument_group("the NPU")
    npu.add_argument(
        "--npu-embedder",
        type=switch_or_auto,
        default=environment.get("NPU_EMBEDDER_ENABLED") or "auto",
        metavar="auto|1|0",
        help="whether to embed on the NPU; auto does where there are one and a model for it (default: auto)",
    )
    npu.add_argument(
        "--npu-fallback-cpu",
        type=switch,
        default=environment.get("NPU_FALLBACK_CPU") or "1",
        metavar="1|0",
        help="whether the CPU answers where the NPU cannot; with 0 the server refuses to, and says why (default: 1)",
    )
    npu.add_argument(
        "--npu-core-mask",
        type=core_mask,
        default=environment.get("NPU_CORE_MASK") or "0",
        metavar="MASK",
        help="the NPU's cores: 0 lets it choose, 1, 2 and 4 are one each, 3 the first two, 7 all (default: 0)",
    )
    npu.add_argument(
        "--rknn-embedder-path",
        type=Path,
        default=environment.get("RKNN_EMBEDDER_PATH") or None,
        metavar="PATH",
        help="the model package for the NPU (default: the one in --model-dir)",
    )


def _add_serve(
    commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser, environment: Mapping[str, str]
) -> None:
    serve = commands.add_parser("serve", parents=[common], help="run the server that Home Assistant speaks to")
    serve.add_argument("--host", default="0.0.0.0", help="the address to listen on (default: all)")
    serve.add_argument(
        "--port", type=whole(0, 65535), default=DEFAULT_PORT, help="default: %(default)s; 0 takes a free one"
    )
    serve.add_argument(
        "--handle-transcripts",
        action="store_true",
        help="also answer Wyoming's own transcript events from memory; they carry no token: anyone near can ask",
    )
    serve.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    _add_recall_defaults(serve, environment)


def _add_remember(
    commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser, as_json: argparse.ArgumentParser
) -> None:
    remember = commands.add_parser("remember", parents=[common, as_json], help="keep something as it was said")
    remember.add_argument("text", help="what to keep")
    remember.add_argument("--speaker", help="who said it")
    remember.add_argument("--kind", type=choice(Kind), choices=list(Kind), default=Kind.NOTE)
    remember.add_argument("--scope", default=HOUSEHOLD, help="household, person:NAME, area:ID or device:ID")
    remember.add_argument("--area", help="the room where it was said")
    remember.add_argument("--session", help="the conversation that it belongs to")
    remember.add_argument("--language", help="such as en or de")
    remember.add_argument("--created-at", metavar="MOMENT", help="ISO 8601; default: now")
    remember.add_argument("--expires-at", metavar="MOMENT", help="ISO 8601; default: never")
    remember.add_argument("--tag", action="append", default=[], dest="tags", help="may be given several times")
    remember.add_argument("--id", dest="memory_id", help="default: a new ULID")
    remember.add_argument("--corrects", metavar="ID", help="the memory that this one replaces from now on")


def _add_recall(
    commands: Commands[argparse.ArgumentParser],
    common: argparse.ArgumentParser,
    as_json: argparse.ArgumentParser,
    environment: Mapping[str, str],
) -> None:
    recall = commands.add_parser("recall", parents=[common, as_json], help="ask a question, or a file of them")
    recall.add_argument("text", nargs="?", help="the question")
    recall.add_argument("--batch", type=Path, metavar="QUERIES.jsonl", help="id, text, asked_at, speaker, scope")
    recall.add_argument("--output", type=Path, metavar="RESULTS.jsonl", help="where the answers to --batch go")
    recall.add_argument("--min-relevance", type=float, default=0.0, metavar="X", help="0 to 1 (default: 0)")
    recall.add_argument("--scope", action="append", dest="scopes", help="what the asker may see (default: household)")
    recall.add_argument("--speaker", help="who asks")
    recall.add_argument("--language", help="of the question, such as en or de")
    recall.add_argument("--asked-at", metavar="MOMENT", help="ISO 8601; default: now")
    recall.add_argument(
        "--budget", type=float, default=10_000.0, metavar="MS", dest="budget_ms", help="default: %(default)s"
    )
    recall.add_argument(
        "--max-tokens",
        type=whole(MIN_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS),
        metavar="N",
        help="of the context that a model would get, as the embedder counts them (default: 1000)",
    )
    recall.add_argument(
        "--allow-secrets", action="store_true", help="show PINs, passwords and the like instead of masking them"
    )
    recall.add_argument("--explain", action="store_true", help="say why each memory was chosen, as a table")
    _add_recall_defaults(recall, environment)


def _add_recall_defaults(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    parser.add_argument(
        "--top-k",
        type=whole(1, MAX_TOP_K),
        default=environment.get("TOP_K") or "5",
        metavar="N",
        help="how many memories (default: 5)",
    )
    add_ways(parser, environment)


def _add_forget(
    commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser, as_json: argparse.ArgumentParser
) -> None:
    forget = commands.add_parser(
        "forget", parents=[common, as_json], help="remove memories, their vectors and index entries"
    )
    forget.add_argument("memory_ids", nargs="+", metavar="ID", help="as recall and list show it; all go, or none")


def _add_list(
    commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser, as_json: argparse.ArgumentParser
) -> None:
    show = commands.add_parser("list", parents=[common, as_json], help="show memories, newest first")
    show.add_argument("--count", type=whole(1, 10_000_000), default=20, metavar="N", help="default: %(default)s")
    show.add_argument("--all", action="store_true", help="show every one")
    show.add_argument("--scope", action="append", dest="scopes", default=[], help="only these scopes")
    show.add_argument("--speaker", help="only what this one said")
    show.add_argument("--kind", type=choice(Kind), choices=list(Kind))
    show.add_argument("--current", action="store_true", help="leave out what has been corrected")


def _add_corrections(
    commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser, as_json: argparse.ArgumentParser
) -> None:
    corrections = commands.add_parser(
        "corrections",
        help="show what was taken for a correction; accept it, or take it back",
        description="Statements that correct an earlier one are recognized without being asked for. What is sure "
        "closes the older memory, what is not is only proposed. Both stay, and both can be changed here.",
    )
    actions = corrections.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("list", parents=[common, as_json], help="show them, those of the newest memories first")
    show.add_argument(
        "--state", type=choice(CorrectionState), choices=list(CorrectionState), help="only these (default: all)"
    )
    show.add_argument("--count", type=whole(1, 1_000_000), default=20, metavar="N", help="default: %(default)s")
    for action, does in (
        ("accept", "let the newer memory close the older one"),
        ("revert", "let the older memory hold (again), for good"),
    ):
        settle = actions.add_parser(action, parents=[common, as_json], help=does, description=does.capitalize() + ".")
        settle.add_argument("old_id", metavar="OLD-ID", help="as list shows it")
        settle.add_argument("new_id", metavar="NEW-ID")


def _add_proposals(
    commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser, as_json: argparse.ArgumentParser
) -> None:
    proposals = commands.add_parser(
        "proposals",
        help="show the facts that a language model has made of what was said; accept or decline them",
        description="Where Home Assistant lets a language model distill conversations, the facts wait here until "
        "somebody accepts or declines them. Nothing finds them until then.",
    )
    actions = proposals.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("list", parents=[common, as_json], help="show those that wait, the newest first")
    show.add_argument("--count", type=whole(1, 1_000_000), default=20, metavar="N", help="default: %(default)s")
    for action, does in (("accept", "remember facts"), ("decline", "drop facts; the same are not proposed again")):
        settle = actions.add_parser(action, parents=[common, as_json], help=does, description=does.capitalize() + ".")
        settle.add_argument("memory_ids", nargs="+", metavar="ID", help="as list shows it")


def _add_files(
    commands: Commands[argparse.ArgumentParser], common: argparse.ArgumentParser, as_json: argparse.ArgumentParser
) -> None:
    read = commands.add_parser(
        "import",
        parents=[common, as_json],
        help="keep every line of a JSONL file",
        description="Each line is an object with text, and optionally id, speaker, created_at, session, area, kind, "
        "scope, language, tags. Importing a file again stores nothing twice.",
    )
    read.add_argument("file", type=Path, metavar="FILE.jsonl", help="- reads standard input")
    write = commands.add_parser("export", parents=[common], help="write all memories as JSONL")
    write.add_argument("file", type=Path, metavar="FILE.jsonl", help="- writes to standard output")

"""`npu-memory`: the only reader of the command line and of the environment; builds what each command needs."""

from __future__ import annotations

import os

# Before numpy is loaded: its threads would spin beside Whisper's, and hand small products to each other for longer than
# the products take.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
import logging
from pathlib import Path
import sys
from typing import Any, NoReturn

from .asking import RecallDefaults
from .cli import asking, benchmarking, correcting, evaluating, examining, importing, keeping, models, proposing, serving
from .cli.arguments import build_parser
from .cli.leaving import leave
from .cli.opening import open_memory, reach_memories
from .errors import InvalidRequestError, NpuMemoryError
from .npu.settings import NpuSettings
from .reranking.registry import MODEL_FILES, OTHER_ARCHITECTURES
from .settings import ServeSettings, Settings
from .supervisor import Supervisor
from .wire import (
    MAX_PAGE,
    AcceptCorrectionRequest,
    ListRequest,
    RecallRequest,
    RememberRequest,
    Reranker,
    RevertCorrectionRequest,
    SettleProposalRequest,
    WireError,
    from_data,
)

REMEMBERED = (
    "text", "memory_id", "kind", "speaker", "scope", "session", "area", "language", "created_at", "expires_at", "tags",
    "corrects",
)  # fmt: skip
ASKED = (
    "scopes", "speaker", "language", "asked_at", "top_k", "strategy", "reranker", "min_relevance", "budget_ms",
    "max_tokens", "allow_secrets", "explain", "diversity",
)  # fmt: skip
EVALUATED = ("top_k", "strategy", "reranker", "min_relevance", "diversity")
UNHURRIED_MS = 10_000.0
"""The budget of a question whose answer is measured: a busy machine is not to make it worse."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 not (all of it) done, 2 wrongly asked, 130 interrupted."""
    options = build_parser(os.environ).parse_args(arguments)
    level = getattr(options, "log_level", "warning").upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        code = asyncio.run(_run(options))
        # Here, so that whoever reads no further is not a complaint at the exit.
        sys.stdout.flush()
        return code
    except (NpuMemoryError, WireError) as error:
        print(f"npu-memory: {error}", file=sys.stderr)
        return 2 if isinstance(error, InvalidRequestError | WireError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more while closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


async def _run(options: argparse.Namespace) -> int:
    if isinstance(getattr(options, "reranker", None), Path):
        options.reranker_directory, options.reranker = options.reranker, Reranker.LOCAL
    if options.command == "evaluate":
        with evaluating.directory(options.data_dir) as folder:
            return await evaluating.evaluate_files(
                _settings(options, folder),
                options.memories,
                options.questions,
                _picked(_given(options), EVALUATED) | {"budget_ms": UNHURRIED_MS},
                as_json=options.json,
            )
    if options.command == "bench":
        with benchmarking.directory(options.data_dir) as folder:
            return await benchmarking.bench(_settings(options, folder), _bench_options(options))
    settings = _settings(options, options.data_dir)
    if options.command == "doctor":
        return await asyncio.to_thread(examining.doctor, settings, Path("/"), as_json=options.json)
    if options.command == "models":
        return await _run_on_models(options, settings.model_directory)
    if options.command == "serve":
        return await serving.serve(
            settings, ServeSettings(options.host, options.port, options.handle_transcripts, _supervisor(os.environ))
        )
    if options.command == "check":
        async with open_memory(settings) as memory:
            return await keeping.check(memory, as_json=options.json)
    return await _run_on_memories(options, settings)


async def _run_on_models(options: argparse.Namespace, directory: Path) -> int:
    if options.action in ("list", "verify"):
        return models.list_models(directory, verify=options.action == "verify", as_json=options.json)
    if options.action != "fetch" and options.name is None:
        raise InvalidRequestError("Say the name of the model; `npu-memory models list` shows those that are there.")
    if options.action == "prepare":
        preparing = partial(models.prepare_package, options.name, directory, options.source, as_json=options.json)
        return await asyncio.to_thread(preparing)
    if options.action == "remove":
        return models.remove(options.name, directory, as_json=options.json)
    if options.name not in MODEL_FILES:
        other = OTHER_ARCHITECTURES.get(options.name)
        why = f"'{options.name}' is {other}, which is not run here. " if other else ""
        raise InvalidRequestError(f"{why}Say which reranker to fetch: {', '.join(MODEL_FILES)}.")
    fetching = partial(models.fetch_reranker, Reranker(options.name), directory, options.source, as_json=options.json)
    return await asyncio.to_thread(fetching)


async def _run_on_memories(options: argparse.Namespace, settings: Settings) -> int:
    given = _given(options)
    if options.command == "recall":
        _require_one_way_of_asking(options)
    async with reach_memories(settings) as memories:
        match options.command:
            case "remember":
                request = from_data(RememberRequest, {"source": "command line", **_picked(given, REMEMBERED)})
                return await keeping.remember(memories, request, as_json=options.json)
            case "recall" if options.batch:
                return await asking.ask_batch(memories, options.batch, options.output, _picked(given, ASKED))
            case "recall":
                question = from_data(RecallRequest, {"text": options.text, **_picked(given, ASKED)})
                return await asking.ask(memories, question, as_json=options.json)
            case "forget":
                return await keeping.forget(memories, options.memory_ids, as_json=options.json)
            case "list":
                wanted = {"limit": MAX_PAGE, "include_past": not options.current}
                page = from_data(ListRequest, {**wanted, **_picked(given, ("scopes", "kind", "speaker"))})
                return await keeping.show(memories, page, None if options.all else options.count, as_json=options.json)
            case "corrections" if options.action == "list":
                return await correcting.show(memories, options.state, options.count, as_json=options.json)
            case "corrections":
                pair = _picked(given, ("old_id", "new_id"))
                accepts = options.action == "accept"
                settling = (
                    from_data(AcceptCorrectionRequest, pair) if accepts else from_data(RevertCorrectionRequest, pair)
                )
                return await correcting.settle(memories, settling, as_json=options.json)
            case "proposals" if options.action == "list":
                return await proposing.show(memories, options.count, as_json=options.json)
            case "proposals":
                accepts = options.action == "accept"
                settled = [
                    from_data(SettleProposalRequest, {"memory_id": one, "accept": accepts})
                    for one in options.memory_ids
                ]
                return await proposing.settle(memories, settled, as_json=options.json)
            case "import":
                return await importing.import_file(memories, options.file, as_json=options.json)
            case _:
                return await keeping.export(memories, options.file)


def _require_one_way_of_asking(options: argparse.Namespace) -> None:
    if (options.text is None) == (options.batch is None):
        raise InvalidRequestError("Give either a question or --batch QUERIES.jsonl.")
    if (options.batch is None) != (options.output is None):
        raise InvalidRequestError("--batch and --output go together.")


def _settings(options: argparse.Namespace, data_directory: Path) -> Settings:
    return Settings(
        data_directory=data_directory,
        model_directory=options.model_dir,
        precision=options.precision,
        threads=options.threads,
        npu=NpuSettings(
            enabled=options.npu_embedder,
            fallback=options.npu_fallback_cpu,
            core_mask=options.npu_core_mask,
            package=options.rknn_embedder_path,
        ),
        recall=_recall_defaults(options),
        reranker_directory=getattr(options, "reranker_directory", None),
    )


def _bench_options(options: argparse.Namespace) -> benchmarking.BenchOptions:
    return benchmarking.BenchOptions(
        memories=options.memories,
        rounds=options.rounds,
        is_made=options.data_dir is None,
        json=options.json,
        plot=options.plot,
    )


def _supervisor(environment: Mapping[str, str]) -> Supervisor | None:
    """Return the Supervisor whose app this process is, if it is one: it sets these for each app."""
    token = environment.get("SUPERVISOR_TOKEN")
    return Supervisor(host=environment.get("SUPERVISOR") or "supervisor", token=token) if token else None


def _recall_defaults(options: argparse.Namespace) -> RecallDefaults:
    if not hasattr(options, "top_k"):
        return RecallDefaults()
    return RecallDefaults(options.top_k, options.strategy, options.reranker, diversity=options.diversity)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in vars(options).items() if value not in (None, [])}


def _picked(given: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


def command() -> NoReturn:
    """Run one command, and end the process."""
    leave(main())


if __name__ == "__main__":
    command()

"""Beside others: the same questions about the same documents, in one run and in turns.

Ours is a real server, asked over the wire, with its default reranker and without one. The others are libraries, each in
a process of its own; their times are taken inside that process, so that the way to the driver costs them nothing. M is
the bare inference of the question: int8, one thread, not padded. What is built once is kept in DIRECTORY and used
again; a million takes hours to build and 15 GB, and asking takes about a quarter of an hour.

    script/benchmark peers DIRECTORY --build                       build what is missing, ask nothing
    script/benchmark peers DIRECTORY --ask --json FILE             ask everybody that is built, on a quiet machine
    script/benchmark peers --table FILE [--picture FILE] [--document FILE]    tables of a run that was kept

To build something again, remove its folder and the file beside it: DIRECTORY/NAME/SIZE and DIRECTORY/NAME/SIZE.json.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.household_of import index
from benchmarks.peers.asking import Manner, ask_group, groups
from benchmarks.peers.building import Built, Limits, Smaller, built, kept
from benchmarks.peers.catalog import PEERS, Peer
from benchmarks.peers.corpus import corpus
from benchmarks.peers.figures import Group, Size, sizes_from
from benchmarks.peers.picture import svg
from benchmarks.peers.reporting import BEGIN, END, inserted, report
from npu_memory_server.benchmark.machine import this_machine
from npu_memory_server.embedding.embedder import OnnxEmbedder
from npu_memory_server.npu.board import Board
from npu_memory_server.settings import EMBEDDER
from npu_memory_server.wire import NpuReport, NpuState

SIZES = (742, 10_000, 100_000, 1_000_000)


async def measure(
    keep: Path, sizes: list[int], peers: list[Peer], limits: Limits, manner: Manner | None, *, build: bool
) -> tuple[list[Size], dict[str, dict[str, str]]]:
    """Build what is missing, if wanted, and ask in this manner, if any; returns the figures and each way's versions."""
    embedder = OnnxEmbedder.load(Path(os.environ["NPU_MEMORY_MODEL_DIR"]) / EMBEDDER)
    before: dict[str, Smaller] = {}
    too_slow: dict[str, str] = {}
    versions: dict[str, dict[str, str]] = {}
    measured = []
    for size in sizes:
        documents = await corpus(keep, size, embedder)
        if build:  # another version of the server may have saved the indexes
            await index(keep / "ours" / str(size), embedder)
        outcomes = {}
        for peer in peers:
            if build:
                outcomes[peer.name] = await built(keep, peer, documents, limits, before.get(peer.name))
            else:
                outcomes[peer.name] = kept(keep, peer, size) or Built(left_out="was not built at this size")
        left_out = {name: one.left_out for name, one in outcomes.items() if one.left_out is not None} | too_slow
        versions |= {name: one.versions for name, one in outcomes.items() if one.versions}
        before = {name: Smaller(size, one) for name, one in outcomes.items()}
        if manner is None:
            continue
        found: list[Group] = []
        there = [(peer, outcomes[peer.name]) for peer in peers if peer.name not in left_out]
        for together in groups(there, manner.memory_mib) or [[]]:
            print(f"  {size}: asking ours{''.join(', ' + peer.title for peer in together)}", flush=True)
            group, failed = await ask_group(keep, documents, together, embedder, limits, manner, outcomes)
            found.append(group)
            left_out |= failed
            too_slow |= {name: f"{reason} (at {size:,} memories)" for name, reason in failed.items()}
        measured.append(Size(size, found, left_out))
        print(report(measured[-1:]), flush=True)
    return measured, versions


def described(
    sizes: list[Size], versions: dict[str, dict[str, str]], manner: Manner, load: list[float]
) -> dict[str, Any]:
    """Return all of a run as JSON can hold it: no text, no path, and no name of the machine."""
    ways = {peer.name: {**asdict(peer), "versions": versions.get(peer.name, {})} for peer in PEERS}
    return {
        "machine": asdict(this_machine(Board(), NpuReport(NpuState.ABSENT, ""))),
        "load_before_and_after": load,
        "questions": manner.questions,
        "rest_ms": manner.rest_s * 1000,
        "way_seconds": manner.way_seconds,
        "ways": ways,
        "sizes": [asdict(size) for size in sizes],
    }


def circumstances(data: dict[str, Any]) -> str:
    """Return a sentence about the machine of a run and what it was doing besides."""
    machine, (before, after) = data["machine"], data["load_before_and_after"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}; load {before:.1f} before, {after:.1f} after. {data['questions']} questions at "
        f"each size, fewer to those who took {data['way_seconds']:g} s for less."
    )


def picture(data: dict[str, Any]) -> str:
    """Return the picture of a run."""
    machine = data["machine"]
    return svg(sizes_from(data["sizes"]), f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB")


def main() -> None:
    """Build, ask, and print tables; write JSON and a picture if asked to."""
    parser = argparse.ArgumentParser(
        prog="script/benchmark peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path, nargs="?", help="what was built is kept here")
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--build", action="store_true", help="build what is missing, and ask nothing")
    parts.add_argument("--ask", action="store_true", help="build nothing, and ask those that are built")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the tables of the JSON of a run")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="default: %(default)s")
    names = [peer.name for peer in PEERS]
    parser.add_argument("--only", default=",".join(names), help="the ways beside ours, default: %(default)s")
    parser.add_argument("--questions", type=int, default=100, help="a way and size (default: %(default)s)")
    parser.add_argument(
        "--way-seconds", type=float, default=30, help="after so long in one way it is asked no more (%(default)s)"
    )
    parser.add_argument("--rest-ms", type=float, default=20, help="before each step (default: %(default)s)")
    parser.add_argument("--build-minutes", type=float, default=20, help="a way and size (default: %(default)s)")
    parser.add_argument("--question-seconds", type=float, default=5, help="who takes longer is left out (%(default)s)")
    parser.add_argument("--memory-gib", type=float, default=12, help="of a way, and of all together (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="write a picture of them there")
    parser.add_argument(
        "--document", type=Path, metavar="FILE.md", help=f"put the tables there, between {BEGIN} and {END}"
    )
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - {*names, ""}
    if unknown:
        parser.error(f"there is no way named {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    if options.table is not None:
        data = json.loads(options.table.read_text(encoding="utf-8"))
        print(report(sizes_from(data["sizes"])))
    elif options.directory is None:
        parser.error("name the directory in which to keep what is built")
    else:
        data = run(options)
    if options.picture and data:
        options.picture.write_text(picture(data), encoding="utf-8")
    if options.document and data:
        tables = f"{circumstances(data)}\n\n{report(sizes_from(data['sizes']))}"
        if options.picture:
            shown = os.path.relpath(options.picture, options.document.parent)
            tables = f"![A question, beside others]({shown})\n\n{tables}"
        options.document.write_text(inserted(options.document.read_text(encoding="utf-8"), tables), encoding="utf-8")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Build and ask; returns what was found, nothing if only building was wanted."""
    memory_mib = options.memory_gib * 1024
    limits = Limits(options.build_minutes * 60, memory_mib, options.question_seconds)
    manner = Manner(options.questions, options.rest_ms / 1000, options.way_seconds, memory_mib)
    peers = [peer for peer in PEERS if peer.name in options.only.split(",")]
    sizes = sorted(int(size) for size in options.sizes.split(","))
    load = [os.getloadavg()[0]]
    directory = options.directory.resolve()
    measured, versions = asyncio.run(
        measure(directory, sizes, peers, limits, None if options.build else manner, build=not options.ask)
    )
    if options.build:
        return {}
    data = described(measured, versions, manner, [*load, os.getloadavg()[0]])
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    return data


if __name__ == "__main__":
    main()

"""The benchmark beside others: what a way may do to the driver, what is kept, and what is said of it."""

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
import json
import os
from pathlib import Path
import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET

from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
import numpy as np
import pytest

from benchmarks.peers.__main__ import described
from benchmarks.peers.asking import FEWEST, Manner, Running, groups, times_key, way_step
from benchmarks.peers.building import PYTHON, REASON, Built, Limits, Smaller, built, folder_of
from benchmarks.peers.catalog import OURS, OURS_PLAIN, PEERS, Peer
from benchmarks.peers.corpus import Corpus, nearest
from benchmarks.peers.figures import Figure, Group, Measured, Size, derived, figure, findings, sizes_from
from benchmarks.peers.line import Line, WayError, line
from benchmarks.peers.picture import svg
from benchmarks.peers.reporting import BEGIN, END, inserted, report
from tests.server.process import SOURCES, environment

CHECKOUT = Path(__file__).parents[2]
PLENTY = 60.0
SOME_MIB = 4096.0

WAY = """
    import os, sys, time
    from pathlib import Path
    import numpy as np
    from benchmarks.peers.ways.answering import answer

    class Words:
        packages = ("numpy",)

        def __init__(self, model): self.folder = None
        def build(self, folder, documents):
            print("a library that prints")
            if "never" in documents.texts: time.sleep(600)
            (folder / "texts").write_text("\\n".join(documents.texts))
        def open(self, folder): self.texts = (folder / "texts").read_text().splitlines()
        def embed(self, text): return np.zeros(384, np.float32)
        def nearest(self, vector): return []
        def add(self, name, text): self.texts.append(text)
        def forget(self, names): raise KeyError("nothing of that name")
        def ask(self, text):
            if text == "die": print("out of luck", file=sys.stderr); os._exit(7)
            if text == "be killed": os.kill(os.getpid(), 9)
            if text == "hang": time.sleep(600)
            if text == "take it all": self.all = np.ones(40_000_000); time.sleep(600)
            if text == "slow": time.sleep(0.3)
            print("noise on the line")
            return [one for one in self.texts if text in one]

    answer(Words)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return a way of its own, as a program."""
    file = tmp_path / "way.py"
    file.write_text(textwrap.dedent(WAY), encoding="utf-8")
    return file


@pytest.fixture
def surroundings() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "NPU_MEMORY_PEER_MODEL": "nowhere"}


@pytest.fixture
async def way(program: Path, surroundings: dict[str, str], tmp_path: Path) -> AsyncIterator[Line]:
    """Return a running way that knows two documents."""
    folder = tmp_path / "built"
    folder.mkdir()
    (folder / "texts").write_text("red kettle\nblue kettle", encoding="utf-8")
    async with line([sys.executable, str(program)], surroundings, tmp_path / "log", SOME_MIB) as opened:
        await opened.ask({"do": "open", "folder": str(folder)}, PLENTY)
        yield opened


async def test_a_way_answers_with_what_it_found_and_what_that_took(way: Line) -> None:
    said, ms = await way.ask({"do": "ask", "text": "blue"}, PLENTY)

    assert said == {"found": ["blue kettle"]}
    assert ms > 0
    assert way.resident_mib() > 1


async def test_a_request_that_fails_says_why_and_the_next_one_is_answered(way: Line) -> None:
    with pytest.raises(WayError, match=r"KeyError: 'nothing of that name'"):
        await way.ask({"do": "forget", "names": ["a"]}, PLENTY)

    assert (await way.ask({"do": "ask", "text": "red"}, PLENTY))[0] == {"found": ["red kettle"]}


async def test_a_way_that_dies_is_left_out_with_its_last_words(way: Line) -> None:
    with pytest.raises(WayError, match=r"ended \(exit code 7\) when it was asked to ask: out of luck"):
        await way.ask({"do": "ask", "text": "die"}, PLENTY)
    with pytest.raises(WayError, match="ended"):
        await way.ask({"do": "ask", "text": "red"}, PLENTY)


async def test_a_way_that_is_killed_is_left_out(way: Line) -> None:
    with pytest.raises(WayError, match="signal SIGKILL"):
        await way.ask({"do": "ask", "text": "be killed"}, PLENTY)


async def test_a_way_that_hangs_is_ended_when_its_time_is_over(way: Line) -> None:
    with pytest.raises(WayError, match=r"took more than 0\.5 s to ask"):
        await way.ask({"do": "ask", "text": "hang"}, 0.5)

    assert way.resident_mib() == 0


async def test_a_way_that_takes_too_much_memory_is_ended(
    program: Path, surroundings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "texts").touch()
    async with line([sys.executable, str(program)], surroundings, tmp_path / "log", 256) as way:
        await way.ask({"do": "open", "folder": str(tmp_path)}, PLENTY)
        with pytest.raises(WayError, match="GiB of memory to ask"):
            await way.ask({"do": "ask", "text": "take it all"}, PLENTY)


async def test_what_is_no_json_is_not_believed(surroundings: dict[str, str], tmp_path: Path) -> None:
    async with line([sys.executable, "-c", "input(); print('hello')"], surroundings, tmp_path / "log", SOME_MIB) as way:
        with pytest.raises(WayError, match="not JSON"):
            await way.ask({"do": "ask", "text": "red"}, PLENTY)


# Building once


PEER = Peer("words", "the words", "looks for the question in the texts", "nothing")
LIMITS = Limits(build_seconds=PLENTY, memory_mib=SOME_MIB, question_seconds=0.2)


@pytest.fixture
def environment_of_words(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an interpreter that runs the program, whatever module it is told to run, be the way's environment."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} {program}\n", encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setenv(PYTHON.format(PEER.name), str(python))
    monkeypatch.setenv("NPU_MEMORY_PEER_MODEL", "nowhere")


def documents(
    folder: Path, *texts: str, size: int = 2, questions: tuple[str, ...] = ("red", "blue", "kettle")
) -> Corpus:
    file = folder / f"texts-{size}.jsonl"
    rows = [json.dumps({"id": str(number), "text": text}) for number, text in enumerate(texts)]
    file.write_text("\n".join(rows), encoding="utf-8")
    return Corpus(size, file, None, questions, (), ())


@pytest.mark.usefixtures("environment_of_words")
async def test_what_is_built_is_there_for_the_next_run(tmp_path: Path) -> None:
    first = await built(tmp_path, PEER, documents(tmp_path, "red kettle", "blue kettle"), LIMITS, None)
    (folder_of(tmp_path, PEER, 2) / "texts").unlink()
    second = await built(tmp_path, PEER, documents(tmp_path, "something else"), LIMITS, None)

    assert first.left_out is None
    assert first.versions == {"numpy": np.__version__}
    assert first.resident_mib > 1
    assert second == first


@pytest.mark.usefixtures("environment_of_words")
async def test_who_builds_too_long_is_left_out_there_and_at_every_larger_size(tmp_path: Path) -> None:
    limits = replace(LIMITS, build_seconds=0.5)
    small = await built(tmp_path, PEER, documents(tmp_path, "never"), limits, None)
    large = await built(tmp_path, PEER, documents(tmp_path, "red kettle", size=20_000), LIMITS, Smaller(2, small))

    assert small.left_out is not None
    # How much of it the way had a processor for: others may have had the machine.
    assert re.fullmatch(
        r"took more than 0\.5 s to build, [0-9.e-]+ s of them computing \(at 2 memories\)", small.left_out
    )
    assert large.left_out == small.left_out
    assert not folder_of(tmp_path, PEER, 2).exists()
    assert not folder_of(tmp_path, PEER, 20_000).exists()


async def test_who_has_no_environment_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PYTHON.format(PEER.name), "")
    monkeypatch.setenv(REASON.format(PEER.name), "its packages cannot be had")

    outcome = await built(tmp_path, PEER, documents(tmp_path, "red kettle"), LIMITS, None)

    assert outcome.left_out == "its packages cannot be had (at 2 memories)"


def test_who_would_hold_too_much_is_not_tried() -> None:
    smaller = Smaller(100_000, Built(resident_mib=1024.0))

    assert smaller.foretold(400_000, LIMITS) is None
    assert smaller.foretold(1_000_001, LIMITS) is None
    assert smaller.foretold(1_000_000, LIMITS) == (
        "holds 1.0 GiB of memory with 100,000 memories, and would need more than 4 GiB with 1,000,000; it was not tried"
    )


# Asking


async def test_who_answers_too_slowly_is_left_out_after_a_few_questions(way: Line) -> None:
    running = Running(PEER, way, 1.0, LIMITS)
    times: dict[str, list[float]] = defaultdict(list)
    step = way_step(running, "ask", times, PLENTY)
    for _ in range(2 * FEWEST):
        await step("slow")

    assert running.left_out == "took more than 0.2 s for a question"
    assert len(times[times_key(PEER.name, "ask")]) == FEWEST


async def test_who_has_had_its_time_is_asked_no_more_but_counts(way: Line) -> None:
    running = Running(PEER, way, 1.0, replace(LIMITS, question_seconds=5.0))
    times: dict[str, list[float]] = defaultdict(list)
    step = way_step(running, "ask", times, 0.01)
    for _ in range(2 * FEWEST):
        await step("slow")

    assert running.left_out is None
    assert len(times[times_key(PEER.name, "ask")]) == FEWEST


async def test_who_dies_of_a_question_is_left_out_and_the_others_go_on(way: Line) -> None:
    running = Running(PEER, way, 1.0, LIMITS)
    step = way_step(running, "ask", defaultdict(list), PLENTY)
    await step("die")
    await step("red")

    assert running.left_out is not None
    assert "exit code 7" in running.left_out


def test_ways_that_do_not_fit_into_memory_together_are_asked_in_groups() -> None:
    ways = [
        (replace(PEER, name=name), Built(resident_mib=mib)) for name, mib in (("a", 4), ("b", 4), ("c", 4), ("d", 30))
    ]

    assert [[peer.name for peer in group] for group in groups(ways, 10)] == [["a", "b"], ["c"], ["d"]]
    assert groups([], 10) == []


@given(
    arrays(np.float32, st.tuples(st.integers(10, 60), st.just(4)), elements=st.floats(-1, 1, width=32)),
    arrays(np.float32, (3, 4), elements=st.floats(-1, 1, width=32)),
)
def test_the_nearest_are_those_with_the_largest_cosines(vectors: np.ndarray, asked: np.ndarray) -> None:
    for one, rows in zip(asked, nearest(vectors, asked), strict=True):
        cosines = vectors @ one
        assert np.allclose(np.sort(cosines)[::-1][: len(rows)], cosines[rows], atol=1e-6)
        assert len(set(rows)) == 10


# What is said of it


def measured(whole: float, embedding: float, **more: object) -> Measured:
    way = Measured(
        question=Figure(9, whole, whole * 1.5),
        embedding=Figure(9, embedding, embedding),
        recall=0.987,
        start_s=1.5,
        resident_mib=130.0,
        disk_mib=4.0,
        write=Figure(9, 8.25, 9.0),
    )
    return replace(way, **more)


def household(memories: int = 742, *, earlier: float = 76.0, qdrant: float = 20.0) -> Size:
    """Return figures with M at 2 ms and ours at 4 and 3."""
    ways = {
        OURS: measured(4.0, 2.5, write_answered=Figure(9, 1.25, 2.0), recall=None),
        OURS_PLAIN: measured(3.0, 2.5),
        "earlier_system": measured(earlier, 70.0),
        "qdrant": measured(qdrant, 6.0),
    }
    return Size(memories, [Group(Figure(9, 2.0, 2.5), ways)], {"txtai": "took more than 20 min to build"})


def test_a_figure_is_the_median_and_the_95th_percentile() -> None:
    assert figure([float(value) for value in range(1, 101)]) == Figure(100, 50.5, 96.0)


def test_a_way_is_compared_in_all_without_m_and_without_its_own_embedding() -> None:
    one = derived(household().groups[0], "qdrant")

    assert (one.multiple_of_m, one.times_ours, one.over_m, one.over_m_times_ours) == (10.0, 5.0, 18.0, 9.0)
    assert one.over_embedding == 14.0


def test_what_was_to_be_shown_is_met_or_missed() -> None:
    assert findings([household()]) == [
        "742 memories: met: the earlier system's way: 19.0 times ours (aim 15)",
        "742 memories: met: Qdrant local, hybrid, over M: 9.0 times ours (aim 5)",
        "742 memories: met: faster than each in total; the nearest is Qdrant local, hybrid, 5.0 times ours",
    ]
    assert findings([household(earlier=40.0, qdrant=3.0)]) == [
        "742 memories: missed: the earlier system's way: 10.0 times ours (aim 15)",
        "742 memories: missed: Qdrant local, hybrid, over M: 0.5 times ours (aim 5)",
        "742 memories: missed: faster than each in total; the nearest is Qdrant local, hybrid, 0.8 times ours",
    ]


def test_the_table_has_a_line_for_each_way_and_a_sentence_for_who_is_left_out() -> None:
    lines = report([household()]).splitlines()

    assert "| Qdrant local, hybrid | 20.0 / 30.0 | 10.0 | 5.0 | 9.0 | 14.0 | 0.987 | 8.25 | 1.5 | 130 | 4 |" in lines
    assert (
        "| NPU Memory, maxsim | 4.00 / 6.00 | 2.0 | 1.0 | 1.0 | 1.50 | - | 8.25 (stored after 1.25) | 1.5 | 130 | 4 |"
        in lines
    )
    assert "- txtai, hybrid: took more than 20 min to build." in lines
    assert {line.count("|") for line in lines if line.startswith("|")} == {12}


def test_the_tables_take_the_place_of_the_old_ones_in_a_document() -> None:
    document = f"# Speed\n\n{BEGIN}\n\nold\n\n{END}\n\nmore\n"

    assert inserted(document, "new\n") == f"# Speed\n\n{BEGIN}\n\nnew\n\n{END}\n\nmore\n"
    with pytest.raises(ValueError, match="there is no place"):
        inserted("# Speed\n", "new\n")


def test_figures_that_were_kept_give_the_same_tables() -> None:
    sizes = [household(), household(100_000)]

    assert sizes_from(json.loads(json.dumps([asdict(size) for size in sizes]))) == sizes


def test_a_run_that_was_kept_becomes_tables_a_picture_and_part_of_a_document(tmp_path: Path) -> None:
    manner = Manner(questions=9, rest_s=0.02, way_seconds=30.0, memory_mib=SOME_MIB)
    kept, document, picture = tmp_path / "run.json", tmp_path / "speed.md", tmp_path / "run.svg"
    data = described([household()], {"qdrant": {"qdrant-client": "1.20.0"}}, manner, [0.1, 0.2])
    kept.write_text(json.dumps(data), encoding="utf-8")
    document.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")

    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.peers", "--table", str(kept)),
            *("--picture", str(picture), "--document", str(document)),
        ],
        cwd=CHECKOUT,
        env=environment({"PYTHONPATH": f"{CHECKOUT}:{SOURCES}"}),
        capture_output=True,
        text=True,
        timeout=PLENTY,
        check=True,
    )

    assert report([household()]).strip() in done.stdout
    assert report([household()]) in document.read_text(encoding="utf-8")
    assert "![A question, beside others](run.svg)" in document.read_text(encoding="utf-8")
    assert ET.parse(picture).getroot().tag.endswith("svg")
    assert data["ways"]["qdrant"]["versions"] == {"qdrant-client": "1.20.0"}


@pytest.mark.parametrize("sizes", [(742,), (742, 100_000, 1_000_000)])
def test_the_picture_has_a_line_for_each_way(sizes: tuple[int, ...]) -> None:
    picture = ET.fromstring(svg([household(size) for size in sizes], "a CPU, 2 cores"))

    names = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"NPU Memory, maxsim", "the earlier system's way", "Qdrant local, hybrid"} <= names
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}polyline"))) == 5


def test_every_way_has_its_program_and_its_requirements() -> None:
    folder = CHECKOUT / "benchmarks" / "peers"

    for peer in PEERS:
        assert (folder / "ways" / f"{peer.runs}.py").is_file()
        pins = (folder / "requirements" / f"{peer.runs}.txt").read_text(encoding="utf-8").splitlines()
        assert all("==" in pin for pin in pins if not pin.startswith("#"))

"""`npu-memory` as its users type it: with and without a server, with good files and bad, interrupted, begun again."""

from collections.abc import Callable
import json
from pathlib import Path
import signal
import sqlite3
import subprocess
import time
from typing import Any

import pytest

from npu_memory_server.__main__ import main
from npu_memory_server.wire import Timings
from tests.server.conftest import HOUSEHOLD
from tests.server.process import LONGEST_SECONDS, ServerProcess, command_line, environment, run_command

StartServer = Callable[..., ServerProcess]
COMMANDS = [
    "serve",
    "remember",
    "recall",
    "forget",
    "list",
    "import",
    "export",
    "evaluate",
    "bench",
    "check",
    "corrections",
    "proposals",
    "models",
]


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return what runs a command in this process, which starts faster; for pipes and signals there is `run_command`."""
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("RAG_STRATEGY", "TOP_K", "RERANK_MODEL"):
        monkeypatch.delenv(name, raising=False)

    def run_here(*arguments: str | Path, data: Path | None = None) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in (*arguments, *(["--data-dir", data] if data else []))]
        capsys.readouterr()
        try:
            code = main(words)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, said.out, said.err)

    return run_here


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def write_lines(path: Path, *lines: dict[str, Any] | str) -> Path:
    written = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("\n".join(written) + "\n", encoding="utf-8")
    return path


def without_nothing(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value not in (None, [])}


def test_nothing_is_reported_to_the_maker_of_the_runtime(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # onnxruntime reports nothing while its own tests or anybody's CI run.
    silencing = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "TF_BUILD", "GITHUB_ACTIONS")
    variables = {name: value for name, value in environment({"HOME": str(home)}).items() if name not in silencing}
    variables = {name: value for name, value in variables.items() if not name.startswith("XDG_")}
    command = command_line("remember", "The spare key is with Bo.", "--data-dir", tmp_path / "data")
    subprocess.run(command, env=variables, check=True, capture_output=True, timeout=LONGEST_SECONDS)
    assert list(home.iterdir()) == []


def listed(run: Run, data: Path, *options: str) -> list[dict[str, Any]]:
    return lines_of(run("list", "--all", "--json", *options, data=data).stdout)


# Bringing memories in


def test_the_household_is_imported_once_however_often_it_is_imported(
    imported: tuple[Path, subprocess.CompletedProcess[str]], household_directory: Path, run: Run
) -> None:
    _, first = imported
    assert first.returncode == 0
    assert first.stdout.startswith("742 stored, 0 there already")
    again = run("import", HOUSEHOLD / "memories.jsonl", "--json", data=household_directory)
    assert again.returncode == 0
    assert json.loads(again.stdout) == {"stored": 0, "there_already": 742, "forgotten_before": 0, "faults": []}


def test_what_was_imported_is_what_was_in_the_file(household_directory: Path, run: Run) -> None:
    expected = {line["id"]: line for line in lines_of((HOUSEHOLD / "memories.jsonl").read_text(encoding="utf-8"))}
    found = {memory["id"]: memory for memory in listed(run, household_directory)}
    assert set(found) == set(expected)
    for memory_id, memory in found.items():
        given = {"source": "import", **without_nothing(expected[memory_id])}
        assert {name: memory[name] for name in given} == given


def test_faulty_lines_are_named_by_their_number_and_the_others_are_stored(tmp_path: Path, run: Run) -> None:
    secret = "xylophone"
    file = write_lines(
        tmp_path / "memories.jsonl",
        {"text": "The first is good.", "id": "good-1"},
        f"{secret}, not JSON",
        "",
        '["a", "list"]',
        {"speaker": secret},
        {"text": secret, "created_at": secret},
        {"text": secret, "scope": secret},
        {"text": secret * 1000},
        '{"text": "' + "x" * 9_000_000 + '"}',
        {"text": secret, "id": f"{secret} {secret}"},
        {"text": "Another text with the same id.", "id": "good-1"},
        {"text": "The last is good, too.", "kind": "fact", "unknown": "skipped"},
    )
    done = run("import", file, "--json", data=tmp_path / "data")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["stored"] == 2
    assert sorted(int(fault.split()[1].rstrip(":")) for fault in report["faults"]) == [2, 4, 5, 6, 7, 8, 9, 10, 11]
    assert secret not in done.stdout + done.stderr
    shown = run("import", file, data=tmp_path / "data")
    assert (shown.returncode, shown.stdout) == (
        1,
        "0 stored, 2 there already, 0 left out because they were forgotten, 9 faulty lines\n",
    )
    assert "  line 2: is not JSON\n" in shown.stderr
    assert "  line 5: The field 'text' is missing.\n" in shown.stderr


def test_lines_without_an_id_are_not_stored_twice_either(tmp_path: Path, run: Run) -> None:
    file = write_lines(
        tmp_path / "memories.jsonl", {"text": "One."}, {"text": "Two."}, {"text": "One.", "speaker": "Nora"}
    )
    outcomes = [json.loads(run("import", file, "--json", data=tmp_path / "data").stdout) for _ in range(2)]
    assert [(report["stored"], report["there_already"]) for report in outcomes] == [(3, 0), (0, 3)]


def test_standard_input_may_be_imported(tmp_path: Path) -> None:
    done = run_command("import", "-", data=tmp_path / "data", stdin='{"text": "Over the pipe."}\n')
    assert done.stdout.startswith("1 stored")


def test_what_was_forgotten_is_not_imported_again(tmp_path: Path, run: Run) -> None:
    file = write_lines(tmp_path / "memories.jsonl", {"text": "The pin is 4711.", "id": "pin"}, {"text": "Keep this."})
    run("import", file, data=tmp_path / "data")
    assert run("forget", "pin", data=tmp_path / "data").stdout == "1 forgotten\n"
    done = run("import", file, data=tmp_path / "data")
    assert done.stdout.startswith("0 stored, 1 there already, 1 left out because they were forgotten")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_import_that_was_interrupted_is_begun_again_and_nothing_is_lost_or_twice(
    tmp_path: Path, number: signal.Signals, run: Run
) -> None:
    file = write_lines(
        tmp_path / "many.jsonl", *({"text": f"Number {n} of many.", "id": f"n-{n}"} for n in range(4000))
    )
    data = tmp_path / "data"
    log = data / "memories.sqlite3-wal"
    importing = subprocess.Popen(
        command_line("import", file, "--data-dir", data),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    limit = time.monotonic() + LONGEST_SECONDS
    while (not log.exists() or log.stat().st_size < 300_000) and importing.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)
    importing.send_signal(number)
    _, errors = importing.communicate(timeout=LONGEST_SECONDS)
    assert importing.returncode == (130 if number is signal.SIGINT else -number)
    assert b"Traceback" not in errors
    kept = {memory["id"] for memory in listed(run, data)}
    assert 0 < len(kept) < 4000
    small = write_lines(
        tmp_path / "rest.jsonl", *({"text": f"Number {n} of many.", "id": f"n-{n}"} for n in range(200))
    )
    again = json.loads(run("import", small, "--json", data=data).stdout)
    assert again["there_already"] == sum(f"n-{n}" in kept for n in range(200))
    assert again["stored"] + again["there_already"] == 200
    ids = [memory["id"] for memory in listed(run, data)]
    assert len(ids) == len(set(ids))
    assert set(ids) == kept | {f"n-{n}" for n in range(200)}


# Taking them out again


def test_what_was_exported_and_imported_elsewhere_is_the_same(tmp_path: Path, run: Run) -> None:
    """Corrections and ends included: what no longer holds must not come back to life."""
    data = tmp_path / "data"
    lines = write_lines(
        tmp_path / "memories.jsonl",
        {"text": "The lesson is on Monday.", "id": "l-1", "created_at": "2026-01-01T10:00:00+01:00", "speaker": "Nora"},
        {"text": "Der Schlüssel hängt im Flur.", "id": "k-1", "language": "de", "tags": ["home"], "area": "hall"},
        {"text": "Teo's present is in the attic.", "id": "p-1", "scope": "person:nora", "kind": "fact", "session": "s"},
        {"text": "The parcel comes.", "id": "e-1", "expires_at": "2099-01-01T00:00:00+01:00"},
    )
    run("import", lines, data=data)
    for old, new, day in (("l-1", "l-2", 2), ("l-2", "l-3", 3)):
        corrected = run(
            "remember", f"The lesson moved to day {day}.", "--id", new, "--corrects", old,
            "--created-at", f"2026-01-0{day}T10:00:00+01:00", data=data,
        )  # fmt: skip
        assert corrected.returncode == 0, corrected.stderr
    assert run("export", tmp_path / "out.jsonl", data=data).stderr.endswith("6 memories exported\n")
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o077 == 0
    done = run("import", tmp_path / "out.jsonl", data=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert run("export", tmp_path / "again.jsonl", data=tmp_path / "elsewhere").returncode == 0
    before, after = (
        {line["id"]: line for line in lines_of((tmp_path / name).read_text(encoding="utf-8"))}
        for name in ("out.jsonl", "again.jsonl")
    )
    assert after == before
    assert before["l-1"]["superseded_by"] == "l-2"
    asked = run("recall", "when is the lesson", "--strategy", "recent", "--json", data=tmp_path / "elsewhere")
    assert "l-1" not in {memory["id"] for memory in json.loads(asked.stdout)["memories"]}
    assert run("check", data=tmp_path / "elsewhere").returncode == 0


def test_an_export_goes_to_standard_output_too(household_directory: Path, run: Run) -> None:
    done = run("export", "-", data=household_directory)
    assert len(lines_of(done.stdout)) == 742
    assert done.stderr.endswith("742 memories exported\n")


def test_an_export_that_cannot_be_written_is_a_sentence_and_leaves_nothing_behind(
    household_directory: Path, tmp_path: Path, run: Run
) -> None:
    done = run("export", tmp_path / "nowhere" / "out.jsonl", data=household_directory)
    assert (done.returncode, "cannot be written" in done.stderr) == (2, True)
    assert not (tmp_path / "nowhere").exists()


def test_whoever_reads_only_the_first_lines_gets_no_complaint(household_directory: Path) -> None:
    listing = subprocess.Popen(
        command_line("export", "-", "--data-dir", household_directory),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert listing.stdout is not None
    assert listing.stderr is not None
    assert listing.stdout.readline()
    listing.stdout.close()
    errors = listing.stderr.read().decode()
    listing.stderr.close()
    assert listing.wait(LONGEST_SECONDS) == 0
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


# Asking


def test_a_batch_of_questions_gets_a_line_each(household_directory: Path, tmp_path: Path, run: Run) -> None:
    questions = lines_of((HOUSEHOLD / "questions.jsonl").read_text(encoding="utf-8"))[:12]
    queries = write_lines(
        tmp_path / "queries.jsonl",
        *({"id": q["id"], "text": q["text"], "asked_at": q["asked_at"], "speaker": q["speaker"]} for q in questions),
        {"id": 17, "text": "a present", "scope": "person:nora"},
        {"id": "both", "text": "a present", "scope": ["household", "person:nora"]},
    )
    output = tmp_path / "results.jsonl"
    done = run("recall", "--batch", queries, "--top-k", "3", "--output", output, data=household_directory)
    assert done.returncode == 0, done.stderr
    assert f"14 questions answered, 0 failed: {output}" in done.stderr
    answers = lines_of(output.read_text(encoding="utf-8"))
    assert [answer["id"] for answer in answers] == [*(q["id"] for q in questions), "17", "both"]
    for answer in answers:
        assert {"id", "memories", "context", "timings", "backend"} <= set(answer)
        assert answer["backend"] == "cpu"
        assert len(answer["memories"]) == 3
        assert answer["context"].startswith("- (")
        assert set(answer["timings"]) <= set(Timings.__dataclass_fields__)
        assert answer["timings"]["total"] > 0
        for memory in answer["memories"]:
            assert {"id", "score", "text", "created_at"} <= set(memory)
            assert 0 < memory["score"] <= 1
        scores = [memory["score"] for memory in answer["memories"]]
        assert scores == sorted(scores, reverse=True)
    assert {memory["scope"] for memory in answers[12]["memories"]} == {"person:nora"}


def test_a_question_of_a_batch_that_cannot_be_asked_is_told_of_in_its_place(
    household_directory: Path, tmp_path: Path, run: Run
) -> None:
    queries = write_lines(
        tmp_path / "queries.jsonl",
        {"id": "a", "text": "key"},
        "no JSON",
        {"id": "b", "text": ""},
        {"id": "c", "text": "cat"},
    )
    output = tmp_path / "results.jsonl"
    done = run("recall", "--batch", queries, "--output", output, data=household_directory)
    assert done.returncode == 1
    answers = lines_of(output.read_text())
    assert [(answer["id"], "error" in answer) for answer in answers] == [
        ("a", False),
        ("", True),
        ("b", True),
        ("c", False),
    ]
    assert answers[1]["error"] == "line 2: is not JSON"
    assert answers[2]["error"].startswith("line 3: The field 'text' must be")


def test_a_person_sees_lines_and_a_program_json(tmp_path: Path, run: Run) -> None:
    data = tmp_path / "data"
    told = run(
        "remember", "The spare key is with Annelies.", "--speaker", "Nora", "--id", "key-1", "--created-at",
        "2026-03-03T18:30:00+01:00", "--tag", "home", "--tag", "key", data=data,
    )  # fmt: skip
    assert told.stdout == "stored [key-1]\n"
    assert (
        run("remember", "The spare key is with Annelies.", "--id", "key-1", data=data).stdout
        == "there already [key-1]\n"
    )
    as_json = json.loads(run("remember", "Something else.", "--json", "--kind", "fact", data=data).stdout)
    assert as_json["outcome"] == "stored"
    seen = run("recall", "who has the spare key", "--top-k", "1", data=data)
    assert seen.stdout.endswith("  2026-03-03  Nora: The spare key is with Annelies.  [key-1]\n")
    assert " ms on cpu: wait " in seen.stderr
    asked = json.loads(run("recall", "who has the spare key", "--json", data=data).stdout)
    assert asked["memories"][0]["tags"] == ["home", "key"]
    assert asked["context"].startswith('- (3 March 2026, Nora) "The spare key is with Annelies."')
    everything = run("list", data=data).stdout.splitlines()
    assert len(everything) == 2
    assert everything[1] == "2026-03-03T18:30  note      Nora: The spare key is with Annelies.  [key-1]"
    assert len(run("list", "--count", "1", data=data).stdout.splitlines()) == 1
    assert run("list", "--speaker", "nobody", data=data).stdout == "There are no memories.\n"
    assert run("recall", "key", "--min-relevance", "1", data=data).stdout == "Nothing was found.\n"
    corrected = run("remember", "Joost has the key.", "--id", "key-2", "--corrects", "key-1", data=data)
    assert corrected.stdout == "stored [key-2]\n"
    assert next(memory["id"] for memory in listed(run, data, "--current")) == "key-2"
    until = run("list", data=data).stdout.splitlines()[2]
    assert " (until 20" in until
    checked = run("check", data=data)
    sound, counted = checked.stdout.splitlines()
    assert sound == "The database is sound and the indexes agree with it."
    assert counted.startswith("3 memories (1 corrected), ")


def test_a_check_finds_what_is_wrong(household_directory: Path, run: Run) -> None:
    database = household_directory / "memories.sqlite3"
    schema = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master WHERE name = 'memory_newest'"
    connection = sqlite3.connect(database)
    index = connection.execute(schema).fetchone()
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("DELETE FROM sqlite_master WHERE name = 'memory_newest'")
    connection.commit()
    connection.close()
    # Without its index in sight a row changes: the quick check at the start does not look there, the whole one does.
    connection = sqlite3.connect(database)
    connection.execute("UPDATE memory SET created_ms = created_ms + 1 WHERE slot = 300")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", index)
    connection.commit()
    connection.close()
    checked = run("check", "--json", data=household_directory)
    assert (checked.returncode, len(json.loads(checked.stdout)["faults"])) == (1, 1)
    shown = run("check", data=household_directory)
    assert (shown.returncode, "memory_newest" in shown.stdout) == (1, True)


def test_forgetting_somebody_unknown_is_an_error_and_forgets_nothing(tmp_path: Path, run: Run) -> None:
    run("remember", "Keep this.", "--id", "keep", data=tmp_path)
    done = run("forget", "keep", "nobody", data=tmp_path)
    assert (done.returncode, done.stderr) == (
        1,
        "npu-memory: Nothing was forgotten: 1 of the given ids belong to no memory.\n",
    )
    assert [memory["id"] for memory in listed(run, tmp_path)] == ["keep"]
    assert json.loads(run("forget", "keep", "--json", data=tmp_path).stdout) == {"ids": ["keep"]}


# With a server and without one


def test_with_a_server_running_the_commands_speak_to_it(tmp_path: Path, start_server: StartServer, run: Run) -> None:
    data = tmp_path / "data"
    run("remember", "Said before the server ran.", "--id", "before", data=data)
    server = start_server(data)
    assert run("remember", "Said while it ran.", "--id", "during", data=data).stdout == "stored [during]\n"
    assert {memory["id"] for memory in listed(run, data)} == {"before", "during"}
    asked = json.loads(run("recall", "what was said while it ran", "--json", data=data).stdout)
    assert asked["memories"][0]["id"] == "during"
    file = write_lines(tmp_path / "memories.jsonl", *({"text": f"Number {n}."} for n in range(300)))
    assert run("import", file, data=data).stdout.startswith("300 stored")
    assert run("export", tmp_path / "out.jsonl", data=data).returncode == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 302
    unknown = run("forget", "nobody", data=data)
    assert (unknown.returncode, "Nothing was forgotten" in unknown.stderr) == (1, True)
    taken = run("remember", "Another text.", "--id", "before", data=data)
    assert (taken.returncode, taken.stderr) == (1, "npu-memory: Another memory has this id already.\n")
    assert run("forget", "during", data=data).stdout == "1 forgotten\n"
    busy = run("check", data=data)
    assert (busy.returncode, "in use by another process" in busy.stderr) == (1, True)
    assert server.stop() == 0
    assert "during" not in {memory["id"] for memory in listed(run, data)}
    assert run("check", data=data).returncode == 0


def test_after_a_power_cut_the_address_of_the_server_misleads_nobody(
    tmp_path: Path, start_server: StartServer, run: Run
) -> None:
    data = tmp_path / "data"
    server = start_server(data)
    server.kill()
    assert (data / "server.json").exists()
    assert run("remember", "Said without a server.", data=data).returncode == 0


def test_a_folder_in_use_by_somebody_who_does_not_listen_is_a_sentence(
    tmp_path: Path, start_server: StartServer, run: Run
) -> None:
    data = tmp_path / "data"
    start_server(data)
    for address in ("", "no JSON", "[]", '{"host": "127.0.0.1"}'):
        (data / "server.json").write_text(address)
        refused = run("list", data=data)
        assert (refused.returncode, "in use by another process" in refused.stderr) == (1, True)


def test_a_data_directory_that_is_none_is_a_sentence(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_text("")
    refused = run("list", data=tmp_path / "file")
    assert refused.returncode == 1
    assert "npu-memory: The data directory" in refused.stderr
    assert "Traceback" not in refused.stderr


# Help, and wrong use


@pytest.mark.parametrize(
    "command",
    [
        *COMMANDS,
        *(f"corrections {action}" for action in ("list", "accept", "revert")),
        *(f"proposals {action}" for action in ("list", "accept", "decline")),
    ],
)
def test_every_command_explains_itself(command: str, run: Run) -> None:
    shown = run(*command.split(), "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"usage: npu-memory {command}")
    assert "--data-dir" in shown.stdout or "ACTION" in shown.stdout


def test_the_overview_names_every_command_and_the_environment(run: Run) -> None:
    shown = run("--help").stdout
    assert {line[4:].split(" ")[0] for line in shown.splitlines() if line.startswith("    ")} >= set(COMMANDS)
    assert all(
        name in shown for name in ("NPU_MEMORY_DATA", "NPU_MEMORY_MODEL_DIR", "RAG_STRATEGY", "TOP_K", "RERANK_MODEL")
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["recall"],
        ["recall", "a question", "--batch", "file"],
        ["recall", "--batch", "no-such-file"],
        ["recall", "--batch", "no-such-file", "--output", "out"],
        ["recall", ""],
        ["recall", "key", "--top-k", "0"],
        ["recall", "key", "--top-k", "many"],
        ["recall", "key", "--strategy", "naive"],
        ["recall", "key", "--min-relevance", "nan"],
        ["recall", "key", "--min-relevance", "2"],
        ["recall", "key", "--scope", "everything"],
        ["recall", "key", "--budget", "soon"],
        ["remember"],
        ["remember", " "],
        ["remember", "x", "--created-at", "yesterday"],
        ["remember", "x", "--id", "two words"],
        ["remember", "x", "--kind", "rumor"],
        ["remember", "x" * 8193],
        ["import", "no-such-file"],
        ["list", "--count", "0"],
        ["list", "--scope", "everything"],
        ["serve", "--port", "70000"],
        ["models", "delete"],
        ["list", "--threads", "0"],
        ["list", "--precision", "fp64"],
    ],
)
def test_wrong_use_is_exit_code_2_and_a_sentence(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*words, data=tmp_path / "data" if words else None)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("npu-memory")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "value"), [("TOP_K", "many"), ("RAG_STRATEGY", "naive"), ("RERANK_MODEL", "a model")])
def test_an_environment_that_makes_no_sense_is_wrong_use(tmp_path: Path, name: str, value: str) -> None:
    done = run_command("recall", "key", data=tmp_path / "data", extra={name: value})
    assert (done.returncode, value in done.stderr) == (2, True)


def test_the_environment_gives_the_defaults(household_directory: Path) -> None:
    extra = {"TOP_K": "2", "RAG_STRATEGY": "recent", "NPU_MEMORY_DATA": str(household_directory)}
    found = json.loads(run_command("recall", "anything", "--json", extra=extra).stdout)["memories"]
    assert [memory["id"] for memory in found] == ["hh-0742", "hh-0741"]
    more = json.loads(run_command("recall", "anything", "--json", "--top-k", "3", extra=extra).stdout)["memories"]
    assert len(more) == 3


# The models


def test_the_model_packages_are_listed_and_verified(model_directory: Path, tmp_path: Path, run: Run) -> None:
    assert run("models", "list").stdout == "all-MiniLM-L6-v2: there\n"
    assert run("models", "verify").stdout == "all-MiniLM-L6-v2: verified\n"
    model = json.loads(run("models", "list", "--json").stdout)[0]
    assert model["name"] == "all-MiniLM-L6-v2"
    assert {file["name"] for file in model["files"]} >= {"model.int8.onnx", "tokenizer.json"}
    none = run("models", "list", "--model-dir", tmp_path)
    assert (none.returncode, "make one with npu-memory-convert" in none.stdout) == (1, True)


def test_a_model_that_was_altered_is_found_out(model_directory: Path, tmp_path: Path, run: Run) -> None:
    package = tmp_path / "all-MiniLM-L6-v2"
    package.mkdir()
    for file in (model_directory / package.name).iterdir():
        (package / file.name).symlink_to(file)
    tokenizer = package / "tokenizer.json"
    content = tokenizer.read_text()
    tokenizer.unlink()
    tokenizer.write_text(content.replace("a", "b", 1))
    verified = run("models", "verify", "--model-dir", tmp_path)
    assert (verified.returncode, "SHA-256" in verified.stdout) == (1, True)
    refused = run("recall", "key", "--model-dir", tmp_path, data=tmp_path / "data")
    assert (refused.returncode, "SHA-256" in refused.stderr) == (1, True)

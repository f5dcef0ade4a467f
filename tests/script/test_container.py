"""`script/container` with docker and podman, as far as a stand-in that writes down what it is asked can show it.

What is built here for real is built with buildah, which needs no engine that runs; this holds the other command lines.
"""

from itertools import pairwise
import os
from pathlib import Path
import subprocess

import pytest

SCRIPT = Path(__file__).parents[2] / "script" / "container"
STAND_IN = """#!/bin/sh
printf '%s\\n' "$*" >>"$ASKED"
case $1 in
  build) echo "the stand-in builds nothing" >&2; exit 7 ;;
esac
"""
SECONDS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with both engines, neither of which does anything."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for engine in ("docker", "podman"):
        program = programs / engine
        program.write_text(STAND_IN, encoding="utf-8")
        program.chmod(0o755)
    return tmp_path


def asked(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run the script; returns how it went and what the engine was asked to do."""
    log = folder / "asked"
    done = subprocess.run(
        [SCRIPT, *arguments],
        env={**os.environ, "PATH": f"{folder / 'programs'}:{os.environ['PATH']}", "ASKED": str(log)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done, [line.split() for line in log.read_text(encoding="utf-8").splitlines()]


def values(command: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(command) if name == option]


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_the_engine_is_asked_to_build_the_app_from_its_folder_and_the_checkouts_conversion(
    folder: Path, engine: str
) -> None:
    done, commands = asked(folder, "--engine", engine, "--tag", "example/memory:1")
    pull, build = commands[0], commands[-1]
    assert pull[0] == "pull"
    assert pull[-1] == "docker.io/library/debian:bookworm-slim"
    assert build[0] == "build"
    assert values(build, "--tag") == ["example/memory:1"]
    assert values(build, "--network") == ["host"]
    assert values(build, "--file") == [str(SCRIPT.parents[1] / "addon" / "Dockerfile")]
    given = dict(argument.split("=", 1) for argument in values(build, "--build-arg"))
    assert given["BUILD_FROM"] == "docker.io/library/debian:bookworm-slim"
    assert given["CONVERSION_ARCHIVE"].endswith("/release.tar.gz")
    assert values(build, "--platform") == [f"linux/{given['BUILD_ARCH']}"]
    assert build[-1] == str(SCRIPT.parents[1] / "addon")
    assert done.returncode == 1
    assert "the stand-in builds nothing" in done.stderr
    assert "the image could not be built" in done.stderr


def test_for_compose_the_whole_checkout_is_the_context_and_the_first_engine_that_answers_is_taken(folder: Path) -> None:
    done, commands = asked(folder, "--for", "compose")
    assert commands[0] == ["info"]
    build = commands[-1]
    assert build[-1] == str(SCRIPT.parents[1])
    assert not [argument for argument in values(build, "--build-arg") if argument.startswith("CONVERSION_ARCHIVE")]
    assert "with docker from docker.io/library/debian:bookworm-slim" in done.stdout

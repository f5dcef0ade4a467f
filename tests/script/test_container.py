"""`script/container` with docker and podman, as far as a stand-in that writes down what it is asked can show it.

`script/test container` builds for real, with whatever engine runs; this holds the command lines of those that do not.
And what compose says of its files, which needs no engine.
"""

from itertools import pairwise
import os
from pathlib import Path
import shutil
import subprocess
import tomllib

import pytest
import yaml

SCRIPT = Path(__file__).parents[2] / "script" / "container"
ADDON = SCRIPT.parents[1] / "addon"
STAND_IN = """#!/bin/sh
printf '%s\\n' "$*" >>"$ASKED"
case $1 in
  build)
    [ -z "$CONTAINERS_CONF" ] || cp "$CONTAINERS_CONF" "$ASKED.conf"
    echo "the stand-in builds nothing" >&2
    exit 7 ;;
  run)
    [ -z "$RUNS_NOTHING" ] || [ -n "$CONTAINERS_CONF" ] || exit 126 ;;
esac
"""
SECONDS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with both engines, and what podman may run things with; none of them does anything."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for engine in ("docker", "podman", "runc"):
        program = programs / engine
        program.write_text(STAND_IN, encoding="utf-8")
        program.chmod(0o755)
    return tmp_path


def asked(folder: Path, *arguments: str, **variables: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """Run the script; returns how it went and what the engine was asked to do."""
    log = folder / "asked"
    done = subprocess.run(
        [SCRIPT, *arguments],
        env={**os.environ, "PATH": f"{folder / 'programs'}:{os.environ['PATH']}", "ASKED": str(log), **variables},
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


def test_a_podman_that_may_not_raise_limits_gets_settings_that_leave_them(folder: Path) -> None:
    done, commands = asked(folder, "--engine", "podman", RUNS_NOTHING="1")
    tried = [command for command in commands if command[0] == "run"]
    assert tried == [["run", "--rm", "--network", "host", "docker.io/library/debian:bookworm-slim", "true"]] * 2
    assert "podman runs nothing with its own settings" in done.stdout
    settings = tomllib.loads((folder / "asked.conf").read_text(encoding="utf-8"))
    assert settings["engine"] == {"runtime": "runc"}
    limits = dict(limit.split("=") for limit in settings["containers"]["default_ulimits"])
    assert limits.keys() == {"nofile", "nproc"}
    assert int(limits["nproc"].split(":")[1]) <= 32768


@pytest.fixture
def compose() -> list[str]:
    """Return the command that reads compose files: the plugin's or the one of its own."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if not shutil.which(command[0]):
            continue
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("there is neither 'docker compose' nor 'docker-compose'")


class TestWhatComposeSays:
    """Compose checks its files against its own specification, and fills in what they leave to variables."""

    def config(self, compose: list[str], file: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [*compose, "--file", str(file), "config"]
        return subprocess.run(
            command,
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @pytest.mark.parametrize("name", ["compose.yaml", "compose.rk3588.yaml"])
    def test_both_files_are_as_the_specification_wants_them_and_keep_the_server_small(
        self, compose: list[str], name: str
    ) -> None:
        done = self.config(compose, ADDON / name, RENDER_GROUP="105")
        assert done.returncode == 0, done.stderr
        service = yaml.safe_load(done.stdout)["services"]["memory"]
        assert (service["user"], service["read_only"], service["cap_drop"]) == ("10750:10750", True, ["ALL"])
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid"}
        on_npu = name == "compose.rk3588.yaml"
        assert ("devices" in service) == on_npu
        assert service.get("group_add", []) == (["105"] if on_npu else [])

    def test_a_board_without_the_number_of_its_group_is_told_how_to_find_it(self, compose: list[str]) -> None:
        done = self.config(compose, ADDON / "compose.rk3588.yaml")
        assert done.returncode != 0
        assert "stat --format %g /dev/dri/renderD129" in done.stderr

    def test_a_file_with_a_mistake_is_refused(self, compose: list[str], tmp_path: Path) -> None:
        content = (ADDON / "compose.yaml").read_text(encoding="utf-8")
        (tmp_path / "compose.yaml").write_text(content.replace("read_only:", "readonly:"), encoding="utf-8")
        assert self.config(compose, tmp_path / "compose.yaml").returncode != 0

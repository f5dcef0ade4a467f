"""`script/kernels`: makes the kernels in C when they are missing or old, and says so where it cannot."""

from collections.abc import Sequence
import os
from pathlib import Path
import shutil
import subprocess

import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGE = Path("addon/src/npu_memory_server/native")
SECONDS = 120


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout in which nothing has been compiled."""
    shutil.copytree(CHECKOUT / "addon/native", tmp_path / "addon/native")
    (tmp_path / "script").mkdir()
    shutil.copy(CHECKOUT / "script/kernels", tmp_path / "script")
    (tmp_path / PACKAGE).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def compiler() -> None:
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")


def start(checkout: Path, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [checkout / "script/kernels"],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(running: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    printed = [one.communicate(timeout=SECONDS)[0] for one in running]
    return list(zip([one.returncode for one in running], printed, strict=True))


def made(checkout: Path) -> dict[str, int]:
    """Return what is in the package's folder, and when it was made."""
    return {path.name: path.stat().st_mtime_ns for path in (checkout / PACKAGE).iterdir()}


@pytest.mark.usefixtures("compiler")
def test_they_are_made_once_and_again_when_a_source_changes(checkout: Path) -> None:
    assert ended([start(checkout)]) == [(0, "")]
    first = made(checkout)
    assert first.keys() == {"libkernels.so", "libkernels.stamp"}
    assert ended([start(checkout)]) == [(0, "")]
    assert made(checkout) == first
    with (checkout / "addon/native/kernels.c").open("a", encoding="utf-8") as source:
        source.write("/* Changed. */\n")
    assert ended([start(checkout)]) == [(0, "")]
    assert made(checkout)["libkernels.so"] > first["libkernels.so"]


@pytest.mark.usefixtures("compiler")
def test_two_scripts_at_a_time_make_them_once(checkout: Path) -> None:
    assert ended([start(checkout) for _ in range(4)]) == [(0, "")] * 4
    assert made(checkout).keys() == {"libkernels.so", "libkernels.stamp"}


@pytest.mark.usefixtures("compiler")
def test_a_compiler_that_refuses_them_is_heard_of_and_nothing_old_is_left(checkout: Path) -> None:
    assert ended([start(checkout)]) == [(0, "")]
    with (checkout / "addon/native/kernels.c").open("a", encoding="utf-8") as source:
        source.write("static int nobody_calls_this(void) { return 1; }\n")
    ((status, printed),) = ended([start(checkout)])
    assert status == 1
    assert "nobody_calls_this" in printed
    assert "the server does without them, slower" in printed
    assert "libkernels.so" not in made(checkout)


def test_without_a_compiler_one_line_says_so_and_nothing_old_is_left(checkout: Path) -> None:
    (checkout / PACKAGE / "libkernels.so").write_bytes(b"of older sources")
    ((status, printed),) = ended([start(checkout, CC="no-such-compiler")])
    assert status == 0
    assert printed.splitlines() == ["  kernels: there is no C compiler (cc); the server does without them, slower"]
    assert "libkernels.so" not in made(checkout)

"""The library of the kernels in C: one that can be used is, and no other one stops the server."""

from pathlib import Path
import shutil
import subprocess

import pytest

from npu_memory_server.native.library import ABI, PATH, Kernels, kernels, load

OTHER = "int kernels_abi(void) { return %d; }"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return a copy of the library, to be changed."""
    if not PATH.exists():
        pytest.skip("there are no kernels: script/kernels makes them, with a C compiler")
    return Path(shutil.copy(PATH, tmp_path / "libkernels.so"))


def compiled(folder: Path, source: str) -> Path:
    """Return another library with these functions."""
    if not shutil.which("cc"):
        pytest.skip("there is no C compiler")
    (folder / "other.c").write_text(source, encoding="utf-8")
    library = folder / "libkernels.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "other.c"], check=True)
    return library


def unusable(found: Kernels, why: str) -> bool:
    return found.functions is None and why in found.reason and found.seen == f"in numpy, slower: {found.reason}"


def test_what_was_compiled_is_used_with_what_the_processor_can_do(built: Path) -> None:
    found = load(built)
    assert found.functions
    assert found.seen == f"in C, with {found.instructions}"
    assert kernels().instructions == found.instructions


def test_where_nothing_was_compiled_it_says_so(tmp_path: Path) -> None:
    assert unusable(load(tmp_path / "libkernels.so"), "there is no libkernels.so")


def test_a_file_that_is_no_library_is_not_used(tmp_path: Path) -> None:
    broken = tmp_path / "libkernels.so"
    broken.write_bytes(b"#!/bin/sh\n" * 1_000)
    assert unusable(load(broken), "no library")


@pytest.mark.parametrize("kept", [0, 63, 700, -1])
def test_a_library_that_was_cut_off_is_not_used(built: Path, kept: int) -> None:
    """The loader would end the process at the first page that is missing."""
    built.write_bytes(built.read_bytes()[:kept])
    assert unusable(load(built), "cut off")


def test_a_library_for_another_processor_is_not_used(built: Path) -> None:
    """As in a checkout on a shared disk: the processor is bytes 18 and 19 of an ELF file."""
    whole = bytearray(built.read_bytes())
    whole[18:20] = (8).to_bytes(2, "little")  # MIPS
    built.write_bytes(whole)
    assert unusable(load(built), "cannot be used")


def test_a_library_of_another_version_is_not_used(tmp_path: Path) -> None:
    assert unusable(load(compiled(tmp_path, OTHER % (ABI + 1))), f"is of version {ABI + 1} instead of {ABI}")


def test_a_library_without_the_functions_is_not_used(tmp_path: Path) -> None:
    assert unusable(load(compiled(tmp_path, OTHER % ABI)), "cannot be used")

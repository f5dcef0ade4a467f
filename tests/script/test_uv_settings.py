"""uv installs from where pip does, whatever its user has configured."""

import os
from pathlib import Path
import shlex
import subprocess
import sys

import pytest

PROGRAM = Path(__file__).parents[2] / "script/environments/uv_settings.py"


@pytest.fixture(scope="module")
def pip_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has pip, as the program is run with."""
    pytest.importorskip("ensurepip", reason="this Python cannot make an environment with pip")
    folder = tmp_path_factory.mktemp("pip")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin/python"


def settings(python: Path, tmp_path: Path, configuration: str, **environment: str) -> dict[str, str]:
    """Return what the program prints for a pip.conf and an environment."""
    file = tmp_path / "pip.conf"
    file.write_text(configuration)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "SSL_"))}
    printed = subprocess.run(
        [python, PROGRAM],
        env={**clean, "HOME": str(tmp_path), "PIP_CONFIG_FILE": str(file), **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    words = [shlex.split(line) for line in printed.splitlines()]
    assert all(command == "export" for command, _ in words)
    return dict(assignment.split("=", 1) for _, assignment in words)


def test_the_index_of_a_company_is_used(pip_python: Path, tmp_path: Path) -> None:
    found = settings(pip_python, tmp_path, "[global]\nindex-url = https://packages.example/simple\n")

    assert found["UV_DEFAULT_INDEX"] == "https://packages.example/simple"
    assert "UV_INDEX_STRATEGY" not in found


def test_several_indexes_are_searched_for_the_best_version_as_pip_does(pip_python: Path, tmp_path: Path) -> None:
    configuration = "[global]\nextra-index-url =\n    https://one.example/simple\n    https://two.example/simple\n"

    found = settings(pip_python, tmp_path, configuration)

    assert found["UV_INDEX"] == "https://one.example/simple https://two.example/simple"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_the_environment_goes_before_the_file(pip_python: Path, tmp_path: Path) -> None:
    found = settings(
        pip_python, tmp_path, "[global]\nfind-links = /from/file\n", PIP_FIND_LINKS="/one /two", PIP_CERT="/ca.pem"
    )

    assert found["UV_FIND_LINKS"] == "/one,/two"
    assert found["SSL_CERT_FILE"] == "/ca.pem"


def test_what_uv_was_told_stands(pip_python: Path, tmp_path: Path) -> None:
    found = settings(
        pip_python, tmp_path, "[global]\nindex-url = https://a.example/simple\n", UV_DEFAULT_INDEX="https://b.example"
    )

    assert "UV_DEFAULT_INDEX" not in found

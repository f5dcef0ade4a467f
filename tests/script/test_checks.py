"""The programs that decide whether a run of `script/test` has passed."""

import json
from pathlib import Path
import subprocess
import sys

CHECKS = Path(__file__).parents[2] / "script/checks"


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, CHECKS / program, *arguments], capture_output=True, text=True, check=False)


def coverage_report(folder: Path, **percent_by_module: float) -> Path:
    """Write what `coverage json` writes, as far as it is read."""
    files = {
        f"package/{name}.py": {"summary": {"percent_covered": covered}} for name, covered in percent_by_module.items()
    }
    total = sum(percent_by_module.values()) / len(percent_by_module)
    report = folder / "coverage.json"
    report.write_text(json.dumps({"files": files, "totals": {"percent_covered": total}}))
    return report


class TestCoverage:
    def test_enough_is_enough(self, tmp_path: Path) -> None:
        report = coverage_report(tmp_path, config_flow=100, conversation=95)

        result = run("coverage_gate.py", report, "--total", "90", "--each", "95", "--file", "config_flow.py=100")

        assert result.returncode == 0
        assert result.stdout == "97.5 % of 2 files covered\n"

    def test_a_module_below_the_limit_is_named(self, tmp_path: Path) -> None:
        report = coverage_report(tmp_path, config_flow=100, conversation=94.96)

        result = run("coverage_gate.py", report, "--each", "95")

        assert result.returncode == 1
        assert "package/conversation.py: 94.96 % covered, at least 95 % wanted" in result.stdout

    def test_a_file_may_have_a_limit_of_its_own(self, tmp_path: Path) -> None:
        report = coverage_report(tmp_path, config_flow=99, conversation=96)

        result = run("coverage_gate.py", report, "--each", "95", "--file", "config_flow.py=100")

        assert result.returncode == 1
        assert "config_flow.py" in result.stdout
        assert "conversation.py" not in result.stdout

    def test_a_limit_for_a_file_that_is_gone_is_no_pass(self, tmp_path: Path) -> None:
        report = coverage_report(tmp_path, conversation=100)

        result = run("coverage_gate.py", report, "--file", "config_flow.py=100")

        assert result.returncode == 1
        assert "no file is named config_flow.py" in result.stdout


JUNIT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"/><testcase name="c"><skipped/></testcase>{more}
</testsuite></testsuites>"""


class TestClosingLine:
    def test_tests_and_checks_are_counted_together(self, tmp_path: Path) -> None:
        (tmp_path / "steps").write_text("passed|0|style\npassed|3|server tests\n")
        (tmp_path / "server-tests.xml").write_text(JUNIT.format(more=""))

        result = run("closing_line.py", tmp_path)

        assert (result.returncode, result.stdout) == (0, "3 passed, 0 failed, 1 skipped\n")

    def test_an_error_in_a_fixture_is_a_failure(self, tmp_path: Path) -> None:
        (tmp_path / "steps").write_text("failed|3|server tests\n")
        (tmp_path / "server-tests.xml").write_text(JUNIT.format(more='<testcase name="d"><error/></testcase>'))

        result = run("closing_line.py", tmp_path)

        assert (result.returncode, result.stdout) == (1, "2 passed, 1 failed, 1 skipped\n")

    def test_a_run_of_pytest_that_broke_off_is_a_failure_though_no_test_failed(self, tmp_path: Path) -> None:
        (tmp_path / "steps").write_text("passed|0|style\nfailed|3|server tests\n")

        result = run("closing_line.py", tmp_path)

        assert (result.returncode, result.stdout) == (1, "1 passed, 1 failed, 0 skipped\n")

    def test_a_run_without_anything_has_not_passed(self, tmp_path: Path) -> None:
        (tmp_path / "steps").write_text("")

        assert run("closing_line.py", tmp_path).returncode == 1

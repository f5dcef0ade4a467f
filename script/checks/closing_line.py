"""Print `N passed, N failed, N skipped` for all tests and checks of a run; end with 1 if anything failed.

Takes the folder of the run: JUnit reports (`*.xml`), and `steps` with lines `passed|SECONDS|NAME` or `failed|...`.
A step with a report counts as its tests; one without counts as one check, and so does a failed step whose report has no
failure.
"""

from collections import Counter
from pathlib import Path
import sys
from xml.etree import ElementTree


def tests_in(report: Path) -> Counter[str]:
    """Count the tests of one JUnit report by their result."""
    counts: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - written by pytest a moment ago
        results = {child.tag for child in case}
        counts["failed" if results & {"failure", "error"} else "skipped" if "skipped" in results else "passed"] += 1
    return counts


def main(folder: Path) -> int:
    """Print the line; return the exit code."""
    counts: Counter[str] = Counter()
    for line in (folder / "steps").read_text().splitlines():
        result, _, name = line.split("|")
        report = folder / f"{name.replace(' ', '-')}.xml"
        found = tests_in(report) if report.exists() else Counter()
        if not found or (result == "failed" and not found["failed"]):
            found[result] += 1
        counts += found
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

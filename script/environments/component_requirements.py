"""Print the Python requirements of components of the installed Home Assistant and of all that these depend on."""

import json
from pathlib import Path
import sys

import homeassistant

COMPONENTS = Path(homeassistant.__file__).parent / "components"


def requirements(names: list[str]) -> set[str]:
    """Return what the manifests of the named components and of their dependencies ask pip for."""
    needed: set[str] = set()
    waiting, seen = list(names), set(names)
    while waiting:
        manifest = json.loads((COMPONENTS / waiting.pop() / "manifest.json").read_text())
        needed.update(manifest.get("requirements", ()))
        new = set(manifest.get("dependencies", ())) - seen
        waiting += new
        seen |= new
    return needed


if __name__ == "__main__":
    print("\n".join(sorted(requirements(sys.argv[1:]))))

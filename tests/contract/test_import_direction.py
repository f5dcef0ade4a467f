"""Imports point one way: from the doors to `Memory`, from there to the parts, and from these to the ground floor."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SERVER = CHECKOUT / "addon/src/npu_memory_server"
CONVERSION = CHECKOUT / "conversion/src/npu_memory_conversion"
INTEGRATION = CHECKOUT / "custom_components/npu_memory"
PACKAGES = [
    pytest.param(SERVER, "npu_memory_server", id="server"),
    pytest.param(CONVERSION, "npu_memory_conversion", id="conversion"),
    pytest.param(INTEGRATION, "custom_components.npu_memory", id="integration"),
]
PARTS = {"embedding", "retrieval", "store"}
DOORS = {"cli", "container", "transport", "__main__"}


def imports_by_module(folder: Path, package: str) -> dict[str, set[str]]:
    """Return for each module of a package the dotted names that it imports when it runs (not for types alone)."""
    return {_dotted(file, folder, package): set(_imported(file, folder, package)) for file in folder.rglob("*.py")}


def _dotted(file: Path, folder: Path, package: str) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join((package, *(part for part in parts if part != "__init__")))


def _imported(file: Path, folder: Path, package: str) -> Iterator[str]:
    inside = (package, *file.relative_to(folder).parent.parts)
    tree = ast.parse(file.read_text())
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = inside[: len(inside) - node.level + 1] if node.level else ()
            base = ".".join((*above, *((node.module,) if node.module else ())))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def own_imports(folder: Path, package: str) -> dict[str, set[str]]:
    """Return the imports within a package, module to modules; the package itself counts for what lies in no module."""
    found = imports_by_module(folder, package)
    return {module: {name for name in names if name in found and name != module} for module, names in found.items()}


def part_of(module: str, package: str) -> str:
    """Return the first name below the package: a sub-package or a module of the ground floor."""
    return module.removeprefix(package).lstrip(".").partition(".")[0]


@pytest.mark.parametrize(("folder", "package"), PACKAGES)
def test_no_modules_import_each_other_in_a_circle(folder: Path, package: str) -> None:
    graph = own_imports(folder, package)
    for module, imported in graph.items():
        # `from . import name` reads the package's __init__, which has run by then
        imported.difference_update({module.rpartition(".")[0], package})

    TopologicalSorter(graph).prepare()


def test_the_three_parts_of_the_server_do_not_know_each_other() -> None:
    package = "npu_memory_server"
    strangers = [
        f"{module} imports {name}"
        for module, names in own_imports(SERVER, package).items()
        for name in names
        if {part_of(module, package), part_of(name, package)} <= PARTS
        and part_of(module, package) != part_of(name, package)
    ]

    assert strangers == []


def test_nothing_behind_the_doors_of_the_server_knows_the_doors() -> None:
    package = "npu_memory_server"
    upward = [
        f"{module} imports {name}"
        for module, names in own_imports(SERVER, package).items()
        for name in names
        if part_of(name, package) in DOORS and part_of(module, package) not in DOORS
    ]

    assert upward == []


def test_the_server_runs_without_the_conversion_and_the_integration_without_both() -> None:
    foreign = [
        f"{module} imports {name}"
        for folder, package, strangers in (
            (SERVER, "npu_memory_server", ("npu_memory_conversion", "custom_components", "homeassistant")),
            (CONVERSION, "npu_memory_conversion", ("custom_components", "homeassistant")),
            (INTEGRATION, "custom_components.npu_memory", ("npu_memory_server", "npu_memory_conversion")),
        )
        for module, names in imports_by_module(folder, package).items()
        for name in names
        if name.partition(".")[0] in strangers
    ]

    assert foreign == []


def test_the_protocol_needs_nothing_but_the_standard_library() -> None:
    imported = imports_by_module(SERVER, "npu_memory_server")["npu_memory_server.wire"]

    assert {name for name in imported if name.startswith(("npu_memory_server", "wyoming"))} == set()

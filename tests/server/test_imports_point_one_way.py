"""Who may know whom: imports of the server point one way, from the doors to the ground, and never round in a circle."""

import ast
from functools import cache
from pathlib import Path

import pytest

import npu_memory_server

PACKAGE = Path(npu_memory_server.__file__).parent

LAYERS = [
    {"wire"},
    {"errors", "backend", "right_of_way", "waking"},
    {"npu", "native"},
    {"records", "embedding", "data_directory", "correction", "supervisor", "tidying"},
    {"store", "retrieval", "reranking"},
    {"context"},
    {"context"},
    {"saving"},
    {"loading", "lookup", "indexes", "inference", "backlog"},
    {"transactions", "moving"},
    {"recalling", "correcting", "deriving", "indexing", "showing"},
    {"asking", "removing", "vectorizing"},
    {"memory"},
    {"settings", "transport", "evaluation", "benchmark"},
    {"cli", "container"},
    {"__main__"},
]
"""From the ground up: what is in a layer imports its own part, and what lies below."""


def parts() -> set[str]:
    """Return the modules and packages directly below the server's package."""
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


@cache
def imports() -> frozenset[tuple[str, str]]:
    """Return (module, imported module) by their full names in the package, such as `store.database`, `errors`."""
    modules = {_name(path): path for path in PACKAGE.rglob("*.py")}
    found = set()
    for name, path in modules.items():
        package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = package[: len(package) - node.level + 1]
                target = ".".join([*base, *(node.module or "").split(".")]).strip(".")
                for alias in node.names:
                    whole = f"{target}.{alias.name}".strip(".")
                    imported = whole if whole in modules else target
                    if imported not in ("", name):
                        found.add((name, imported))
    return frozenset(found)


def _name(path: Path) -> str:
    relative = path.relative_to(PACKAGE).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


def test_every_part_has_its_layer() -> None:
    assert set().union(*LAYERS) >= parts()


@pytest.mark.parametrize("part", sorted(parts()))
def test_a_part_imports_only_itself_and_what_lies_below(part: str) -> None:
    level = next(number for number, layer in enumerate(LAYERS) if part in layer)
    allowed = set().union(*LAYERS[:level]) | {part}
    if part in ("loading", "lookup", "indexes"):
        allowed |= {"loading", "lookup"}
    above = sorted(
        f"{module} -> {imported}"
        for module, imported in imports()
        if module.split(".")[0] == part and imported.split(".")[0] not in allowed
    )
    assert not above


def test_store_retrieval_and_embedding_do_not_know_each_other() -> None:
    three = {"store", "retrieval", "embedding"}
    pairs = {(module.split(".")[0], imported.split(".")[0]) for module, imported in imports()}
    assert not {(one, other) for one, other in pairs if one in three and other in three and one != other}


def test_nobody_imports_the_command() -> None:
    assert not [module for module, imported in imports() if imported == "__main__"]


def test_there_is_no_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module, imported in imports():
        graph.setdefault(module, set()).add(imported)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for imported in sorted(graph.get(module, ())):
                visit(imported, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_no_module_runs_anything_from_the_test_or_development_tools() -> None:
    named = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                named.add((node.module or "").split(".")[0])
    assert not named & {
        "pickle",
        "torch",
        "pytest",
        "hypothesis",
        "tests",
        "npu_memory_conversion",
        "custom_components",
    }

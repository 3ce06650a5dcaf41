"""
The house rules that a machine can check; docs/architecture.md has them in words.

Every rule is a function that answers the places where it is broken, so that a test shows all of
them at once; below the rules each is shown to find something in a tree that breaks it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
OURS = ("chaoskit", "faults", "suites", "nodes", "tests")
PRODUCT = ("chaoskit", "faults", "suites", "nodes")
MAY_IMPORT = {
    "chaoskit": {"chaoskit"},
    "faults": {"chaoskit", "faults"},
    "suites": {"chaoskit", "faults", "suites"},
    "nodes": {"nodes"},
    "tests": set(OURS),
}
# What a suite shares with the nodes: a primitive, never a node's logic.
SHARED = ("nodes.bls",)
LINES_AT_MOST = 400
TEST_BODY_LINES_AT_MOST = 15
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "handler"}
# Systems under test by name; those with a folder in suites/ are added to them.
SYSTEMS = {"etcd", "nats", "drand", "beacon", "toys"}
# A module whose tests are in a file of another name, which imports it.
TESTED_IN = {
    "chaoskit": "test_pytest_plugin",
    "chaoskit.backend": "test_backend_process",
    "chaoskit.exchange": "test_handshake",
    "chaoskit.identity": "test_journal",
    "chaoskit.invariant": "test_judge",
    "chaoskit.mounts": "test_storage",
    "chaoskit.operations": "test_linearizability",
    "chaoskit.ownership": "test_journal",
    "chaoskit.programs": "test_backend_process",
    "chaoskit.progress": "test_standing",
    "chaoskit.removal": "test_sweep",
    "chaoskit.rowfile": "test_rows",
    "chaoskit.errors": "test_clock",
}
# How many tests each file may skip, all with a reason that pytest prints.
SKIPS: dict[str, int] = {"tests/beacon_vectors.py": 1}


@dataclass(frozen=True)
class Module:
    """One Python file of ours: its path in the tree, its dotted name, its syntax tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All of the tree: many rules walk it."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def import_nodes(self) -> tuple[ast.Import | ast.ImportFrom, ...]:
        return tuple(one for one in self.nodes if isinstance(one, ast.Import | ast.ImportFrom))

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def part(self) -> str:
        return self.path.split("/")[0]

    @property
    def stem(self) -> str:
        return self.name.rpartition(".")[2]

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)} {what}"

    def imports(self, *, at_run_time: bool = False) -> Iterator[tuple[ast.AST, str]]:
        """What it imports, as dotted names; `at_run_time` without those for annotations alone."""
        for_types: set[int] = set()
        if at_run_time:
            for node in self.nodes:
                if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
                    for_types |= {id(inner) for one in node.body for inner in ast.walk(one)}
        for node in self.import_nodes:
            if id(node) in for_types:
                continue
            if isinstance(node, ast.Import):
                yield from ((node, one.name) for one in node.names)
            else:
                assert node.level == 0, f"{self.path}: relative import"
                yield from ((node, f"{node.module}.{one.name}") for one in node.names)


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if (REPOSITORY / name).is_file()]


@pytest.fixture(scope="module")
def files() -> list[str]:
    return _tracked()


@pytest.fixture(scope="module")
def modules(files: list[str]) -> list[Module]:
    found = [
        Module(name, (REPOSITORY / name).read_text())
        for name in files
        if name.endswith(".py") and name.split("/")[0] in OURS and "_pb2" not in name
    ]
    assert len(found) > 100, "the tree was not found"
    return found


# ---- imports ---------------------------------------------------------------------------------


def is_shared(name: str) -> bool:
    """Whether `name` is one of SHARED, by itself or from nodes, or something of it."""
    return any(f"{name}.".startswith(f"{one}.") for one in SHARED)


def against_the_direction(modules: Sequence[Module]) -> list[str]:
    """Chaoskit <- faults <- suites, nodes apart."""
    return [
        module.at(node, f"imports {name}")
        for module in modules
        for node, name in module.imports()
        if name.split(".")[0] in OURS
        and name.split(".")[0] not in MAY_IMPORT[module.part]
        and not (module.part == "suites" and is_shared(name))
    ]


def layers(document: str) -> dict[str, int]:
    """The layer of each module of chaoskit, by the table in docs/architecture.md."""
    table = document.split("| layer | modules |", 1)[1].split("\n\n", 1)[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    found: dict[str, int] = {}
    for number, row in enumerate(rows):
        for name in re.findall(r"`([a-z0-9_]+)`", row.split("|")[2]):
            assert name not in found, f"docs/architecture.md names {name} twice"
            found[name] = number
    return found


def _inner(module: Module) -> set[str]:
    """The modules and packages directly below chaoskit that it imports at run time."""
    found = {
        name.split(".")[1]
        for _, name in module.imports(at_run_time=True)
        if name.startswith("chaoskit.")
    }
    return found - {module.name.split(".")[1] if "." in module.name else ""}


def against_the_layers(modules: Sequence[Module], order: dict[str, int]) -> list[str]:
    """Inside chaoskit a module imports from its own layer or from one above it in the table."""
    found = []
    own = [one for one in modules if one.part == "chaoskit" and "." in one.name]
    for module in own:
        name = module.name.split(".")[1]
        if name not in order:
            found.append(f"{module.path}: {name} is in no layer of docs/architecture.md")
            continue
        later = [one for one in _inner(module) if order.get(one, 0) > order[name]]
        found += [f"{module.path} imports {one}, of a later layer" for one in later]
    there = {path.stem for path in (REPOSITORY / "chaoskit").iterdir()}
    return found + [f"docs/architecture.md: no module {one}" for one in order if one not in there]


def circles(modules: Sequence[Module]) -> list[str]:
    """No module of chaoskit imports, over however many others, itself."""
    graph = {
        one.name.split(".")[1]: _inner(one)
        for one in modules
        if one.part == "chaoskit" and one.name.count(".") == 1
    }
    while free := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in free:
            del graph[name]
    return [f"{name} <-> {sorted(needs & graph.keys())}" for name, needs in graph.items()]


def shared_packages(modules: Sequence[Module]) -> list[str]:
    """A third-party package is imported by one module of chaoskit and by nobody else of ours."""
    importers: dict[str, set[str]] = {}
    for module in modules:
        if module.part not in ("chaoskit", "faults"):
            continue
        for _, name in module.imports():
            package = name.split(".")[0]
            if package not in sys.stdlib_module_names and package not in OURS:
                importers.setdefault(package, set()).add(module.path)
    return [
        f"{name}: {', '.join(sorted(paths))}" for name, paths in importers.items() if len(paths) > 1
    ]


def test_imports_point_one_way(modules: list[Module]) -> None:
    assert against_the_direction(modules) == []


def test_the_layers_of_chaoskit_hold(modules: list[Module]) -> None:
    order = layers((REPOSITORY / "docs/architecture.md").read_text())
    assert against_the_layers(modules, order) == []
    assert circles(modules) == []


def test_a_third_party_package_has_one_importer(modules: list[Module]) -> None:
    assert shared_packages(modules) == []


def test_nothing_shadows_the_docker_sdk(files: list[str]) -> None:
    assert [name for name in files if name.startswith("docker/") and name.endswith(".py")] == []


# ---- shape -----------------------------------------------------------------------------------


def sleeps(modules: Sequence[Module]) -> list[str]:
    """time.sleep is called by clock.py alone."""
    found = []
    for module in modules:
        if module.path == "chaoskit/clock.py":
            continue
        found += [
            module.at(node, "sleeps")
            for node in module.nodes
            if isinstance(node, ast.Attribute)
            and node.attr == "sleep"
            and ast.unparse(node) == SLEEP
        ]
        found += [module.at(node, "sleeps") for node, name in module.imports() if name == SLEEP]
    return found


SLEEP = "time.sleep"


def broad_excepts(modules: Sequence[Module]) -> list[str]:
    """Whoever catches everything raises again, or gives a reason beside the rule's number."""
    found = []
    for module in modules:
        if module.part == "tests":
            continue
        lines = module.text.splitlines()
        for node in module.nodes:
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = ast.unparse(node.type) if node.type else "everything"
            if not re.search(r"\b(?:Base)?Exception\b|^everything$", caught):
                continue
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            reason = re.search(r"noqa: BLE001\W+\w.{8,}", lines[node.lineno - 1])
            if not raises and not reason:
                found.append(module.at(node, f"catches {caught} and gives no reason"))
    return found


def empty_names(modules: Sequence[Module]) -> list[str]:
    """No module or class is called after nothing: utils, helpers, common, base, manager..."""
    found = [
        f"{module.path}: a name that says nothing"
        for module in modules
        if set(module.name.split(".")) & EMPTY_NAMES or set(module.stem.split("_")) & EMPTY_NAMES
    ]
    for module in modules:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef) and module.part in ("chaoskit", "faults"):
                words = {word.lower() for word in re.findall(r"[A-Z][a-z]*", node.name)}
                if words & EMPTY_NAMES:
                    found.append(module.at(node, f"class {node.name}"))
    return found


_CONSTANT = re.compile(r"pytestmark|__\w+__|_?[A-Z][A-Z0-9_]*|_?[A-Z][A-Za-z]*")
_MADE = {"typer.Typer", "logging.getLogger"}
_MUTATORS = {"append", "add", "update", "setdefault", "extend", "insert", "pop", "remove", "clear"}


def _assigned(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets = [node.target]
        for target in targets:
            for inner in ast.walk(target):
                if isinstance(inner, ast.Name):
                    yield node, inner.id


def module_state(modules: Sequence[Module]) -> list[str]:
    """What a module holds is constant: no `global`, nothing of its own changed by a function."""
    found = []
    for module in modules:
        if module.part == "tests":
            continue
        own = set()
        for node, name in _assigned(module.tree):
            own.add(name)
            value = getattr(node, "value", None)
            made = isinstance(value, ast.Call) and ast.unparse(value.func) in _MADE
            if not _CONSTANT.fullmatch(name) and not made:
                found.append(module.at(node, f"{name} is no constant"))
        for inner in module.nodes:
            if isinstance(inner, ast.Global):
                found.append(module.at(inner, f"global {', '.join(inner.names)}"))
            changed = None
            if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
                changed = inner.func.value if inner.func.attr in _MUTATORS else None
            elif isinstance(inner, ast.Subscript) and isinstance(inner.ctx, ast.Store | ast.Del):
                changed = inner.value
            if isinstance(changed, ast.Name) and changed.id in own:
                found.append(module.at(inner, f"changes {changed.id}"))
    return found


def unslotted(modules: Sequence[Module]) -> list[str]:
    """Dataclasses of the harness are slotted."""
    return [
        module.at(node, f"{node.name} has no slots")
        for module in modules
        if module.part in ("chaoskit", "faults")
        for node in module.nodes
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
        if ast.unparse(decorator).startswith("dataclass")
        and "slots=True" not in (ast.unparse(decorator))
    ]


def inherits(modules: Sequence[Module]) -> list[str]:
    """A class of ours inherits from a class of ours only where both are exceptions."""
    classes = {
        node.name: [ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases]
        for module in modules
        if module.part in PRODUCT
        for node in module.nodes
        if isinstance(node, ast.ClassDef)
    }

    def is_exception(name: str) -> bool:
        if name in classes:
            return any(is_exception(base) for base in classes[name])
        return name == "Exception" or name.endswith("Error")

    return [
        f"{name} inherits from {base}"
        for name, bases in classes.items()
        for base in bases
        if base in classes and not is_exception(base)
    ]


def default_time_outs(modules: Sequence[Module]) -> list[str]:
    """Whoever waits says how long: no parameter for a time-out has a default."""
    found = []
    for module in modules:
        if module.part not in ("chaoskit", "faults"):
            continue
        for node in module.nodes:
            if not isinstance(node, ast.FunctionDef):
                continue
            positional = [*node.args.posonlyargs, *node.args.args]
            with_default = positional[len(positional) - len(node.args.defaults) :]
            with_default += [
                one
                for one, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                if default is not None
            ]
            found += [
                module.at(node, f"{node.name}({one.arg}=...)")
                for one in with_default
                if re.search(r"time_?out", one.arg)
            ]
    return found


def unsaid(modules: Sequence[Module]) -> list[str]:
    """A module's docstring says what it owns and what it refuses."""
    found = []
    for module in modules:
        said = ast.get_docstring(module.tree)
        if said is None:
            found.append(f"{module.path}: no docstring")
        elif module.part in ("chaoskit", "faults") and module.stem not in ("chaoskit", "faults"):
            found += [
                f"{module.path}: its docstring has no {word!r}"
                for word in (("Owns", "Refuses") if module.part == "chaoskit" else ("Refuses",))
                if word.lower()[:5] not in said.lower()
            ]
    return found


def systems_named(modules: Sequence[Module]) -> list[str]:
    """The harness and the faults know no system under test: in no name, in no string of code."""
    words = re.compile(rf"(?<![a-z])({'|'.join(sorted(SYSTEMS))})(?![a-z])", re.IGNORECASE)
    found = []
    for module in modules:
        if module.part not in ("chaoskit", "faults"):
            continue
        prose = {
            id(node.body[0].value)
            for node in module.nodes
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in module.nodes:
            said = ""
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said = "" if id(node) in prose else node.value
            elif isinstance(node, ast.Name):
                said = node.id
            elif isinstance(node, ast.Attribute):
                said = node.attr
            elif isinstance(node, ast.arg):
                said = node.arg
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                said = node.name
            if match := words.search(said):
                found.append(module.at(node, f"names {match[1]}"))
    return found


def too_long(modules: Sequence[Module]) -> list[str]:
    """One idea a module."""
    return [
        f"{module.path}: {len(module.text.splitlines())} lines"
        for module in modules
        if module.part in PRODUCT and len(module.text.splitlines()) > LINES_AT_MOST
    ]


RULES: list[Callable[[Sequence[Module]], list[str]]] = [
    sleeps,
    broad_excepts,
    empty_names,
    module_state,
    unslotted,
    inherits,
    default_time_outs,
    unsaid,
    systems_named,
    too_long,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_shape_of_modules(
    modules: list[Module], rule: Callable[[Sequence[Module]], list[str]]
) -> None:
    assert rule(modules) == []


# ---- suites, faults, tests -------------------------------------------------------------------


def loose_tests(modules: Sequence[Module]) -> list[str]:
    """A suite's test has Goal, Runbook and Success, a short body, and ends in check()."""
    found = []
    for module in modules:
        if module.part != "suites" or not module.stem.startswith("test_"):
            continue
        for node in module.tree.body:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            said = ast.get_docstring(node) or ""
            missing = [word for word in ("Goal:", "Runbook:", "Success:") if word not in said]
            found += [module.at(node, f"{node.name} has no {word}") for word in missing]
            body = node.body[1:] if said else node.body
            last = body[-1] if body else node
            if ".check(" not in ast.unparse(last).split("\n")[0]:
                found.append(module.at(last, f"{node.name} does not end in check()"))
            lines = (last.end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > TEST_BODY_LINES_AT_MOST:
                found.append(module.at(node, f"{node.name} has a body of {lines} lines"))
    return found


def test_suite_tests_say_what_they_want_and_are_judged(modules: list[Module]) -> None:
    assert loose_tests(modules) == []


def _faults(modules: Sequence[Module]) -> Iterator[tuple[Module, ast.ClassDef, str]]:
    for module in modules:
        if module.part != "faults":
            continue
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                methods = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
                if methods & {"inject", "apply"}:
                    yield module, node, "faults" if "inject" in methods else "changes"


def unprovable(modules: Sequence[Module]) -> list[str]:
    """Every fault says what it needs and what proves it."""
    found = []
    for module, node, _ in _faults(modules):
        said = {
            one.target.id: one.value
            for one in node.body
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.value
        }
        found += [
            module.at(node, f"{node.name} has no {word}")
            for word in ("NEEDS", "PROOF")
            if word not in said or not ast.literal_eval(said[word])
        ]
        if not ast.get_docstring(node):
            found.append(module.at(node, f"{node.name} has no docstring"))
    return found


def test_every_fault_says_what_it_needs_and_what_proves_it(modules: list[Module]) -> None:
    assert unprovable(modules) == []


def test_every_fault_and_change_is_offered(modules: list[Module]) -> None:
    offered = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]
    there: dict[str, dict[str, str]] = {"faults": {}, "changes": {}}
    for module, node, group in _faults(modules):
        there[group][node.name] = f"{module.name}:{node.name}"
    assert len(there["faults"]) >= 16
    assert offered["chaoskit.faults"] == there["faults"]
    assert offered["chaoskit.changes"] == there["changes"]


def untested(modules: Sequence[Module]) -> list[str]:
    """Every module of chaoskit has a test file, of its name or one that TESTED_IN names."""
    tests = {module.stem: module for module in modules if module.part == "tests"}
    found = []
    for module in modules:
        if module.part != "chaoskit":
            continue
        name = module.name if module.name.count(".") < 2 else module.name.rpartition(".")[0]
        file = TESTED_IN.get(name, f"test_{name.rpartition('.')[2]}")
        if file not in tests:
            found.append(f"{module.path}: there is no tests/{file}.py")
        elif name in TESTED_IN and not any(
            imported == name or imported.startswith(f"{name}.")
            for _, imported in tests[file].imports()
        ):
            found.append(f"{module.path}: tests/{file}.py does not import it")
    return found


def test_every_module_has_a_test_file(modules: list[Module]) -> None:
    assert untested(modules) == []
    superfluous = {
        name
        for name, file in TESTED_IN.items()
        if (REPOSITORY / f"tests/test_{name.rpartition('.')[2]}.py").exists()
        and file != f"test_{name.rpartition('.')[2]}"
    }
    assert superfluous == set()


def skips(modules: Sequence[Module]) -> dict[str, int]:
    """Where tests are skipped or expected to fail, by file."""
    found: dict[str, int] = {}
    for module in modules:
        for node in module.nodes:
            if not isinstance(node, ast.Attribute):
                continue
            name = ast.unparse(node)
            if re.fullmatch(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)", name):
                found[module.path] = found.get(module.path, 0) + 1
    return found


def test_skips_are_counted(modules: list[Module]) -> None:
    assert skips(modules) == SKIPS


# ---- the tree --------------------------------------------------------------------------------

_HOSTS = "|".join(
    ["py" + "pi", "pythonhos" + "ted", "npm" + "js", r"deb" + r"ian\.", "golan" + "g"]
)
_FOREIGN = re.compile(
    rf"/wor{'k'}/(?:main|steer|shared|\.)|/tm{'p'}/ck\b|https?://[^ )\"]*(?:{_HOSTS})"
)


def foreign_places(files: Sequence[str], root: Path) -> list[str]:
    """No path of a machine and no registry's host is named in the tree."""
    found = []
    for name in files:
        if name.endswith((".png", ".svg", ".lock")):
            continue
        for number, line in enumerate((root / name).read_text(errors="replace").splitlines(), 1):
            if match := _FOREIGN.search(line):
                found.append(f"{name}:{number} {match[0]}")
    return found


def test_no_machine_and_no_registry_is_named(files: list[str]) -> None:
    assert foreign_places(files, REPOSITORY) == []


# ---- each rule finds what it is for ----------------------------------------------------------

_SUITE_TEST = '"""A."""\ndef test_it(c):\n    """Goal: a\n    Runbook: b\n    Success: c"""\n'
BROKEN: list[tuple[Callable[[Sequence[Module]], list[str]], str, str]] = [
    (against_the_direction, "chaoskit/a.py", "from faults.kill import Kill"),
    (against_the_direction, "faults/a.py", "def f():\n    import suites.x"),
    (against_the_direction, "nodes/a.py", "from chaoskit import clock"),
    (against_the_direction, "suites/a.py", "from nodes.toys import core"),
    (against_the_direction, "suites/a.py", "from nodes import bls_and_more"),
    (against_the_direction, "faults/a.py", "from nodes import bls"),
    (sleeps, "suites/a.py", "import time\ntime.sleep(1)"),
    (sleeps, "tests/a.py", "from time import sleep"),
    (broad_excepts, "nodes/a.py", "try:\n    f()\nexcept Exception:\n    pass"),
    (broad_excepts, "chaoskit/a.py", "try:\n    f()\nexcept:  # noqa: BLE001\n    pass"),
    (empty_names, "suites/etcd/utils.py", ""),
    (empty_names, "chaoskit/a.py", "class LinkManager: ..."),
    (module_state, "chaoskit/a.py", "known = {}"),
    (module_state, "chaoskit/a.py", "KNOWN = {}\ndef f():\n    KNOWN['a'] = 1"),
    (module_state, "nodes/a.py", "SEEN = []\ndef f():\n    SEEN.append(1)"),
    (module_state, "suites/a.py", "A = 1\ndef f():\n    global A"),
    (unslotted, "faults/a.py", "@dataclass(frozen=True)\nclass A: ..."),
    (inherits, "faults/a.py", "class A: ...\nclass B(A): ..."),
    (default_time_outs, "chaoskit/a.py", "def f(*, timeout_s: float = 3.0): ..."),
    (default_time_outs, "chaoskit/a.py", "def f(a, timeout_s=3.0): ..."),
    (unsaid, "chaoskit/a.py", '"""Owns: nothing."""'),
    (unsaid, "tests/a.py", "A = 1"),
    (systems_named, "chaoskit/a.py", "def f(name='etcd'): ..."),
    (systems_named, "faults/a.py", "def etcd_only(): ..."),
    (too_long, "nodes/a.py", "A = 1\n" * 401),
    (loose_tests, "suites/x/test_a.py", "def test_it(c):\n    c.check()"),
    (loose_tests, "suites/x/test_a.py", _SUITE_TEST + "    c.check()\n    f()"),
    (loose_tests, "suites/x/test_a.py", _SUITE_TEST + "    f()\n" * 15 + "    c.check()"),
    (
        unprovable,
        "faults/a.py",
        "class A:\n    NEEDS: ClassVar = ('engine',)\n    def inject(s): ...",
    ),
    (untested, "chaoskit/a.py", ""),
]


@pytest.mark.parametrize(
    ("rule", "path", "text"), BROKEN, ids=[f"{b[0].__name__}-{i}" for i, b in enumerate(BROKEN)]
)
def test_each_rule_finds_what_breaks_it(
    rule: Callable[[Sequence[Module]], list[str]], path: str, text: str
) -> None:
    assert rule([Module(path, text)])


def test_the_rules_about_several_modules_find_what_breaks_them(tmp_path: Path) -> None:
    one = Module("chaoskit/one.py", "import requests\nfrom chaoskit import two")
    two = Module("chaoskit/two.py", "import requests.exceptions\nfrom chaoskit.one import f")
    assert shared_packages([one, two]) == ["requests: chaoskit/one.py, chaoskit/two.py"]
    assert len(circles([one, two])) == 2
    order = layers("| layer | modules |\n| --- | --- |\n| a | `one` |\n| b | `two` |\n\n")
    found = against_the_layers([one, two], order)
    assert found[0] == "chaoskit/one.py imports two, of a later layer"
    assert found[1:] == [f"docs/architecture.md: no module {one}" for one in ("one", "two")]
    assert against_the_layers([two], {"one": 0}) != []
    for_types = Module("chaoskit/one.py", f"if TYPE_CHECKING:\n    {two.text.splitlines()[1]}")
    assert list(for_types.imports(at_run_time=True)) == []
    assert skips([Module("tests/a.py", "@pytest.mark.xfail\ndef test(): pytest.skip('x')")]) == {
        "tests/a.py": 2
    }
    (tmp_path / "a.md").write_text(f"see /wor{'k'}/main and https://{'py' + 'pi'}.org/x")
    assert len(foreign_places(["a.md"], tmp_path)) == 1

"""What a reader of the library finds in every room: types, shapes in words, an example that runs, short functions."""

import ast
import doctest
import importlib
import subprocess
import sys

import pytest
from test_house import ARROWS, ROOMS

ROOMS = {room: path for room, path in ROOMS.items() if room not in ("__init__", "recipes.__main__", "teach.__main__")}
LONGEST = 60  # lines of a function
# rooms -> lines that they may have together, docstrings not counted: every public thing has an example there
BUDGETS = {
    "models": (
        2600,
        "noise outputs layers autoregressive independent fvsbn nade made ensembles transformer pixelcnn autoencoder "
        "vae flows dequantization argmax graphs rgcn subgraphs graphaf",
    ),
    "page": (1000, "page page.source page.viz page.explorer page.widgets page.exercise page.comparison"),
    "teach": (
        1350,
        "teach teach.sets teach.handouts teach.grading teach.sandbox teach.tampering teach.seeds teach.otter teach.lms",
    ),
}


def public(body):
    """Functions and classes that a name without underscore makes public."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def tree(room):
    return ast.parse(ROOMS[room].read_text("utf-8"))


@pytest.mark.parametrize("room", ROOMS)
def test_examples_run(room):
    module = importlib.import_module(f"hybridlib.{room}")
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=flags)
    said = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)


@pytest.mark.parametrize("room", ROOMS)
def test_everything_public_has_an_example(room):
    """A class that derives from another one of its room shares the example of that one."""
    nodes = list(public(tree(room).body))
    own = {node.name for node in nodes}
    bare = [
        node.name
        for node in nodes
        if ">>> " not in (ast.get_docstring(node) or "")
        and not (isinstance(node, ast.ClassDef) and own & {ast.unparse(base) for base in node.bases})
    ]
    assert not bare, f"{ROOMS[room].name}: no example in the docstrings of {', '.join(bare)}"


@pytest.mark.parametrize("room", ROOMS)
def test_everything_public_is_described_and_typed(room):
    def missing(node, method=False):
        if not ast.get_docstring(node) and node.name != "forward":
            yield f"{node.name} has no docstring"
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and (inner.name == "__init__" or not inner.name.startswith("_")):
                    yield from (f"{node.name}.{what}" for what in missing(inner, True) if "__init__ has" not in what)
        else:
            args = node.args
            named = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
            untyped = [arg.arg for arg in named[method and not is_static(node) :] if arg and not arg.annotation]
            if untyped:
                yield f"{node.name}: no type for {', '.join(untyped)}"
            if node.returns is None and node.name != "__init__":
                yield f"{node.name}: no type for what it returns"

    found = [what for node in public(tree(room).body) for what in missing(node)]
    assert not found, f"{ROOMS[room].name}: " + "; ".join(found)


def is_static(node):
    return any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)


@pytest.mark.parametrize("room", ROOMS)
def test_no_function_is_long(room):
    functions = [node for node in ast.walk(tree(room)) if isinstance(node, ast.FunctionDef)]
    long = {node.name: node.end_lineno - node.lineno + 1 for node in functions}
    long = {name: lines for name, lines in long.items() if lines > LONGEST}
    assert not long, f"{ROOMS[room].name}: more than {LONGEST} lines: {long}"


def size(room):
    """Lines of a room without its docstrings."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    nodes = [node for node in ast.walk(tree(room)) if isinstance(node, documented) and ast.get_docstring(node)]
    told = sum(node.body[0].end_lineno - node.body[0].lineno + 1 for node in nodes)
    return len(ROOMS[room].read_text("utf-8").splitlines()) - told


@pytest.mark.parametrize("name", BUDGETS)
def test_budgets(name):
    budget, rooms = BUDGETS[name]
    lines = {room: size(room) for room in rooms.split()}
    assert sum(lines.values()) <= budget, f"{name}: {sum(lines.values())} of {budget} lines: {lines}"


VERBS = {"load"}  # whose object is the room: `datasets.load(name)`, `checkpoints.load(path)`


def test_a_name_has_one_meaning():
    """No public name is defined in two rooms, and none is the name of a room."""
    where = {}
    for room in ROOMS:
        for node in tree(room).body:
            names = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
            if isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            for name in names:
                if not name.startswith("_"):
                    where.setdefault(name, []).append(room)
    twice = {name: rooms for name, rooms in where.items() if len(rooms) > 1 and name not in VERBS}
    assert not twice, f"one meaning a name: {twice}"
    rooms = {room.split(".")[-1] for room in ROOMS}
    assert not where.keys() & rooms, f"rooms and things of one name: {sorted(where.keys() & rooms)}"


HEAVY = "matplotlib", "IPython", "anywidget", "rdkit", "sklearn", "networkx", "torch"


def test_the_package_says_what_there_is_and_imports_none_of_it():
    asked = "import hybridlib, sys; print(*sys.modules); print(*dir(hybridlib)); print(hybridlib.made.MADE.__name__)"
    modules, names, made = subprocess.check_output([sys.executable, "-c", asked], text=True).splitlines()
    assert not {*HEAVY} & {*modules.split()}
    outer = {room for room in [*ROOMS, "page"] if "." not in room}
    assert outer <= {*names.split()} and made == "MADE"
    import hybridlib

    assert {*hybridlib.ROOMS} == outer
    assert all(f" {room}" in hybridlib.__doc__.replace("\n", " ") for room in outer), "the docstring lacks a room"
    with pytest.raises(AttributeError, match="its rooms are"):
        hybridlib.maid  # noqa: B018


@pytest.mark.parametrize("room", ["graphaf", "recipes", "checkpoints", "records", "page.widgets", "datasets"])
def test_needs_no_rdkit(room):
    blocked = f"import sys; sys.modules['rdkit'] = None; import hybridlib.{room}"
    subprocess.run([sys.executable, "-c", blocked], check=True)


def steps_below(room, arrows):
    return max((1 + steps_below(target, arrows) for target in arrows[room]), default=0)


def test_the_path_below_graphaf_is_short():
    assert steps_below("graphaf", ARROWS) <= 4

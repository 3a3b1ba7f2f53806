"""The rules of the house that a machine can check: imports, notebooks, files, one address everywhere."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import first_cells
import oldest
import pytest
import repository
import yaml

import hybridlib

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {  # name, such as "made" or "page.viz" -> file
    ".".join(path.relative_to(ROOT / "hybridlib").with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "hybridlib").rglob("*.py"))
}
NOTEBOOKS = sorted((ROOT / "book").rglob("*.ipynb"))

# room -> the rooms it may import. A new arrow is a decision: it is drawn here first.
ARROWS = {
    "__init__": set(),
    "page": set(),
    "noise": set(),
    "outputs": {"described"},
    "layers": set(),
    "autoregressive": {"described", "noise", "outputs"},
    "independent": {"autoregressive", "outputs"},
    "fvsbn": {"autoregressive", "outputs"},
    "nade": {"autoregressive"},
    "made": {"autoregressive", "layers", "noise", "outputs"},
    "ensembles": {"autoregressive", "described", "noise", "outputs"},
    "transformer": {"autoregressive", "described", "outputs"},
    "pixelcnn": {"autoregressive", "outputs"},
    "autoencoder": {"described", "noise", "outputs"},
    "vae": {"autoregressive", "described", "noise", "outputs"},
    "flows": {"autoregressive", "described", "layers", "made", "noise", "outputs"},
    "dequantization": {"autoregressive", "described", "flows", "noise", "outputs"},
    "argmax": {"autoregressive", "noise", "outputs"},
    "graphs": set(),
    "rgcn": {"described"},
    "subgraphs": {"graphs"},
    "graphaf": {"argmax", "autoregressive", "described", "graphs", "layers", "noise", "outputs", "rgcn", "subgraphs"},
    "molecules": {"extras", "graphs"},
    "universe": {"extras", "graphs", "molecules"},
    "metrics": {"extras", "graphs", "molecules", "records"},
    "audit": set(),
    "report": {"audit", "noise"},
    "faulty": {"noise"},
    "datasets": {"described", "extras", "graphs", "molecules"},
    "train": {"checkpoints", "described", "noise"},
    "described": set(),
    "checkpoints": {"described", "noise"},
    "records": set(),
    "extras": set(),
    "recipes": {"datasets", "recipes.molecules", "recipes.training", "recipes.vectors"},
    "recipes.training": {"checkpoints", "datasets", "described", "noise", "records", "train"},
    "recipes.vectors": {
        "datasets",
        "dequantization",
        "described",
        "ensembles",
        "flows",
        "made",
        "noise",
        "outputs",
        "pixelcnn",
        "recipes.training",
        "records",
        "train",
        "transformer",
        "vae",
    },
    "recipes.molecules": {
        "datasets",
        "graphaf",
        "graphs",
        "metrics",
        "molecules",
        "noise",
        "recipes.training",
        "records",
        "train",
        "transformer",
        "universe",
    },
    "page.source": {"extras"},
    "page.viz": {"extras", "molecules"},
    "page.explorer": {"extras"},
    "page.widgets": {"flows", "graphaf", "graphs", "molecules", "page.explorer", "page.viz", "transformer"},
    "page.exercise": set(),
    "page.comparison": {"datasets", "extras", "train"},
    "recipes.__main__": {"datasets", "graphaf", "recipes", "records"},
    "teach": set(),
    "teach.otter": {"teach.handouts", "teach.sets"},
    "teach.__main__": {"teach.grading", "teach.handouts", "teach.lms", "teach.otter", "teach.sets"},
    "teach.grading": {"page.exercise", "teach.handouts", "teach.sandbox", "teach.sets", "teach.tampering"},
    "teach.handouts": {"teach.sets"},
    "teach.sandbox": {"page.exercise", "teach.seeds", "teach.sets", "teach.tampering"},
    "teach.seeds": set(),
    "teach.sets": set(),
    "teach.tampering": set(),
    "teach.lms": {"page.widgets"},
}
MAY_IMPORT_RDKIT = {"molecules", "universe", "metrics", "page.viz"}


def project_files():
    """Files that git tracks or would track: no build, no environment."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def imports(path):
    """Every import of a file, wherever it stands -> pairs (dotted name, line); rooms as "hybridlib.room"."""
    parts = path.relative_to(ROOT).parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = ".".join([*parts[: -node.level], *filter(None, [node.module])]) if node.level else node.module
            for alias in node.names:
                name = f"{module}.{alias.name}"
                yield (name if name.removeprefix("hybridlib.") in ROOMS else module), node.lineno


def arrows(room):
    """The rooms that a room imports -> {room: line}."""
    found = {name.removeprefix("hybridlib."): line for name, line in imports(ROOMS[room]) if name != "hybridlib"}
    return {name: line for name, line in found.items() if name in ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_are_as_drawn(room):
    assert room in ARROWS, f"{room} is a new room: draw its arrows in {Path(__file__).name}"
    found = arrows(room)
    for target in found.keys() - ARROWS[room]:
        raise AssertionError(f"{ROOMS[room]}:{found[target]}: {room} -> {target} is not a drawn arrow")
    assert not ARROWS[room] - found.keys(), f"{room} no longer imports {ARROWS[room] - found.keys()}: take them out"


def test_every_drawn_room_is_there():
    assert ARROWS.keys() == ROOMS.keys()


@pytest.mark.parametrize("room", ROOMS)
def test_rdkit_stays_in_its_rooms(room):
    for name, line in imports(ROOMS[room]):
        assert name.split(".")[0] != "rdkit" or room in MAY_IMPORT_RDKIT, f"{ROOMS[room]}:{line}"


def test_no_arrow_leads_round_in_a_circle():
    def visit(room, above):
        assert room not in above, f"circle: {' -> '.join([*above, room])}"
        for target in ARROWS[room]:
            visit(target, [*above, room])

    for room in ARROWS:
        visit(room, [])


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


def other_code(path):
    return [source(cell) for cell in cells(path, "code") if cell["id"] != "colab"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_first_cell_is_the_one_of_the_house(self, path):
        first = json.loads(path.read_text("utf-8"))["cells"][0]
        assert first["id"] == "colab", "the first cell is missing; `make first-cells` writes it"
        assert source(first) == first_cells.first_cell_source(), "the first cell differs; `make first-cells` writes it"
        assert first["metadata"] == {"tags": ["remove-cell"]}

    def test_every_cell_has_an_id_and_no_output(self, path):
        notebook = json.loads(path.read_text("utf-8"))
        assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
        names = [cell["id"] for cell in notebook["cells"]]
        assert len(names) == len(set(names)), "two cells have the same id"
        for cell in cells(path, "code"):
            assert cell["outputs"] == [] and cell["execution_count"] is None, "`make format` strips outputs"

    def test_no_widget_that_stalls_the_build(self, path):
        # ipywidgets' interact and Output wait at random for a whole cell timeout when no front end is there
        for code in other_code(path):
            found = re.search(r"\b(interact|interactive|interactive_output|interact_manual)\s*\(|\bOutput\s*\(", code)
            assert not found, f"{found.group()} stalls executed notebooks; use hybridlib.page.widgets"

    def test_only_the_first_cell_installs(self, path):
        for code in other_code(path):
            assert not re.search(r"\bpip3?\b|\bconda\b|apt-get", code), code

    def test_no_path_of_one_machine(self, path):
        for code in other_code(path):
            found = re.search(r"""["'](/|~/|[A-Z]:\\)[\w.-]""", code)
            assert not found, f"an absolute path: {code[found.start() : found.start() + 40]}"

    def test_has_one_title_and_sections(self, path):
        lines = "\n".join(source(cell) for cell in cells(path, "markdown"))
        prose = re.sub(r"^(`{3,}|:{3,}).*?^\1", "", lines, flags=re.MULTILINE | re.DOTALL)
        assert len(re.findall(r"^# ", prose, flags=re.MULTILINE)) == 1
        assert re.search(r"^## ", prose, flags=re.MULTILINE), "the theme needs a section on every page"


def test_first_cell_says_what_to_install_where_the_library_is_missing(tmp_path):
    # -I -S: an interpreter without any installed package, as a reader has who downloaded a chapter alone
    command = [sys.executable, "-I", "-S", "-c", first_cells.first_cell_source()]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stderr.splitlines()[-1]
    url = TestRepositoryAddress.OLD
    assert told.startswith("ModuleNotFoundError: the library of the book is missing: ")
    assert told.endswith(f'%pip install "hybridlib[book] @ git+{url}@{first_cells.TAG}"')


@pytest.mark.parametrize("path", sorted((ROOT / "book").rglob("*.md")), ids=lambda path: path.stem)
def test_every_page_has_a_section(path):
    assert re.search(r"^## ", path.read_text("utf-8"), flags=re.MULTILINE), "the theme needs a section on every page"


def test_every_room_is_in_the_reference():
    listed = set(re.findall(r"automodule:: hybridlib\.([\w.]+)", (ROOT / "book/api.md").read_text("utf-8")))
    assert listed == ROOMS.keys() - {"__init__", "page", "recipes.__main__", "teach.__main__"}


def test_every_chapter_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    listed = {toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])}
    pages = [path for path in (ROOT / "book").rglob("*") if path.suffix in (".md", ".ipynb")]
    assert listed == {path.relative_to(ROOT).with_suffix("").as_posix() for path in pages}


def test_nothing_is_unpickled():
    """A pickle runs code when it is loaded; checkpoints are safetensors and JSON."""
    for path in project_files():
        if path.suffix == ".py":
            for name, line in imports(path):
                assert name.split(".")[0] not in {"pickle", "dill", "cloudpickle", "joblib"}, f"{path}:{line}: {name}"
        if path.suffix in (".py", ".ipynb") and path != Path(__file__):
            for call in re.findall(r"torch\.load\([^\n]*", path.read_text("utf-8")):
                assert "weights_only=True" in call, f"{path.name}: {call}"


def test_first_weights_come_from_the_global_generator():
    """No model has a seed of its own; whoever wants the same one again builds it inside `noise.seeded`."""
    for path in [*NOTEBOOKS, *ROOMS.values()]:
        if path.name != "noise.py":
            assert "fork_rng" not in path.read_text("utf-8"), f"{path.name}: `noise.seeded` does that"
    for room, path in ROOMS.items():
        if room == "teach.seeds":
            continue  # it stands in for generators of other packages, which take a seed
        for kind in ast.walk(ast.parse(path.read_text("utf-8"))):
            for node in getattr(kind, "body", []) if isinstance(kind, ast.ClassDef) else []:
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    names = {arg.arg for arg in (*node.args.args, *node.args.kwonlyargs)}
                    assert "seed" not in names, f"{room}.{kind.name} has a seed of its own"


def test_no_file_is_large():
    sizes = {path: path.stat().st_size for path in project_files()}
    # weights are allowed 4 MB
    large = {p.name: size for p, size in sizes.items() if size > 1e6 * (4 if p.suffix == ".safetensors" else 1)}
    assert not large, f"over 1 MB: {large}"


def test_the_lock_is_portable_and_complete():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert not [name for name in pins if re.match(r"nvidia|triton|cuda", name)], (
        "GPU packages belong to torch's own choice"
    )
    assert not [version for version in pins.values() if "+" in version], "a local version exists on one machine only"
    assert pins["jupyter-book"] < "2", "jupyter-book 2 ignores _config.yml"


class TestRepositoryAddress:
    OLD = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    NEW = "https://github.com/a-teacher/my-course"  # no fork's own

    def test_is_the_same_everywhere(self):
        # an address on GitHub that has our repository's name but another owner, or the other way round, was forgotten
        owner, name = self.OLD.split("/")[-2:]
        for path in project_files():
            if path.suffix in {".md", ".cff", ".toml", ".yml", ".ipynb", ".py"}:
                for found in re.findall(rf"github(?:\.com)?/{owner}/([\w.-]+)", path.read_text("utf-8")):
                    assert found.removesuffix(".git") == name, f"{path.name}: {owner}/{found}"

    @pytest.fixture
    def tree(self, tmp_path):
        """A copy of every file that may name the address, as text by its name: a function that reads it anew."""
        for path in project_files():
            if path.suffix in {".md", ".cff", ".toml", ".yml", ".ipynb"} or path.name in {"LICENSE", "__init__.py"}:
                copy = tmp_path / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
        names = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
        return lambda: {str(name): (tmp_path / name).read_text("utf-8") for name in names}

    def test_one_command_changes_address_and_edition_everywhere(self, tree, tmp_path):
        repository.change(tmp_path, self.NEW, "2027-spring")
        texts = tree()
        for name in ("_config.yml", "pyproject.toml", "README.md", "CITATION.cff", "book/made.ipynb"):
            assert self.NEW in texts[name], name
        assert "colab.research.google.com/github/a-teacher/my-course/blob/2027-spring/" in texts["README.md"]
        assert f"git clone {self.NEW} && cd my-course\n" in texts["README.md"]
        assert yaml.safe_load(texts["_config.yml"])["repository"] == {"url": self.NEW, "branch": "2027-spring"}
        assert '\n__edition__ = "2027-spring"' in texts["hybridlib/__init__.py"]
        assert f'git+{self.NEW}@2027-spring\\"' in texts["book/made.ipynb"]
        tags = {tag for text in texts.values() for tag in re.findall(rf"{self.NEW}(?:@|/blob/|/tree/)([\w.-]+)", text)}
        assert tags == {"2027-spring"}

    def test_a_fork_says_whose_work_it_is_and_nothing_else_of_the_original_stays(self, tree, tmp_path):
        repository.change(tmp_path, self.NEW)
        texts = tree()
        assert texts["README.md"].count(repository.ATTRIBUTION) == texts["LICENSE"].count(repository.ATTRIBUTION) == 1
        cited = yaml.safe_load(texts["CITATION.cff"])
        assert cited["repository-code"] == self.NEW
        assert cited["preferred-citation"]["repository-code"] == repository.ORIGINAL
        for field in ("title", "authors", "license", "type"):
            assert cited["preferred-citation"][field] == cited[field]
        for address in {*repository.addresses(repository.ORIGINAL), *repository.addresses(self.OLD)}:
            for name, text in texts.items():
                rest = text.replace(repository.ATTRIBUTION, "").replace(repository.CITED, "")
                assert not re.search(re.escape(address) + r"(?![\w-])", rest), f"{name} still has {address}"

    @pytest.mark.parametrize("name", ["README.md", "LICENSE"])
    def test_attribution_stands_in_this_repository_and_cannot_be_lost_on_the_way(self, tree, tmp_path, name):
        assert (ROOT / name).read_text("utf-8").count(repository.ATTRIBUTION) == 1
        text = (tmp_path / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace(repository.ATTRIBUTION, ""), "utf-8")
        before = tree()
        with pytest.raises(ValueError, match=f"{name} has lost the line"):
            repository.change(tmp_path, self.NEW, "2027-spring")
        assert tree() == before

    def test_a_fork_cites_the_book(self):
        text = (ROOT / "CITATION.cff").read_text("utf-8")
        assert text.endswith(repository.CITED) == (self.OLD != repository.ORIGINAL)
        if self.OLD == repository.ORIGINAL:
            assert "preferred-citation" not in text

    def test_twice_is_once_and_there_is_a_way_back(self, tree, tmp_path):
        before = tree()
        changed = repository.change(tmp_path, self.NEW + "/", "2027-spring")
        assert len(changed) >= 15 and repository.change(tmp_path, self.NEW, "2027-spring") == []
        repository.change(tmp_path, branch="2027-autumn")
        repository.change(tmp_path, "https://github.com/another/one.git")
        repository.change(tmp_path, self.OLD, first_cells.TAG)
        assert tree() == before

    def test_all_or_nothing(self, tree, tmp_path, monkeypatch):
        before, write_text, written = tree(), Path.write_text, []

        def full_disk(path, *arguments):
            written.append(path)
            if len(written) == 5:
                raise OSError("No space left on device")
            return write_text(path, *arguments)

        monkeypatch.setattr(Path, "write_text", full_disk)
        with pytest.raises(OSError, match="No space"):
            repository.change(tmp_path, self.NEW, "2027-spring")
        assert len(written) == 5 and tree() == before and not [*tmp_path.rglob("*.new")]

    def test_what_upstream_changed_meanwhile_can_be_merged(self, tree, tmp_path, monkeypatch):
        """Back to the address and tag of the book, merge, and forth again: the way of the page on editions."""

        def git(*arguments):
            name = ["-c", "user.name=x", "-c", "user.email=x", "-c", "commit.gpgsign=false"]
            subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

        def edit(name, old, new):
            text = (tmp_path / name).read_text("utf-8")
            assert old in text
            (tmp_path / name).write_text(text.replace(old, new), "utf-8")

        git("init", "-b", "main")
        git("add", ".")
        git("commit", "-m", "the book")
        git("checkout", "-b", "upstream")
        edit("CONTRIBUTING.md", "# Contributing", "# Corrected")
        edit("hybridlib/__init__.py", f'__version__ = "{hybridlib.__version__}"', '__version__ = "9.8.7"')
        places = ("README.md", "_config.yml", "book/made.ipynb", "hybridlib/__init__.py")
        for name in places:
            text = (tmp_path / name).read_text("utf-8")
            (tmp_path / name).write_text(first_cells.at_tag(text, self.OLD, "v9.8.7"), "utf-8")
        git("commit", "-am", "a new version")
        git("checkout", "main")
        repository.change(tmp_path, self.NEW, "2027-spring")
        edit("CONTRIBUTING.md", "## Text", "## A teacher's own")
        git("commit", "-am", "edition of spring 2027")

        repository.change(tmp_path, self.OLD, first_cells.TAG)
        git("commit", "-am", "back")
        git("merge", "upstream")
        repository.change(tmp_path, self.NEW, "2027-autumn")
        texts = tree()
        assert "# Corrected" in texts["CONTRIBUTING.md"] and "## A teacher's own" in texts["CONTRIBUTING.md"]
        assert 'version__ = "9.8.7"' in texts["hybridlib/__init__.py"]
        for name in places:
            assert "2027-autumn" in texts[name] and "v9.8.7" not in texts[name], name

    @pytest.mark.parametrize(
        "url",
        ["a-teacher/my-course", "https://github.com/a-teacher", "https://example.org/a/b", "git@github.com:a/b.git"]
        + [f"https://github.com/{name}" for name in ("../..", "a/..", "a/..git", "a/.git", "-a/b", "a/b/c", "a/b\nc")]
        + ["https://github.com/a/b; touch x", "https://github.com/ä/b", "https://github.com/a/b?c"],
    )
    def test_refuses_what_colab_cannot_open(self, tree, tmp_path, url):
        before = tree()
        with pytest.raises(ValueError, match="OWNER/NAME"):
            repository.change(tmp_path, url, "2027-spring")
        assert tree() == before

    @pytest.mark.parametrize(
        "branch",
        [
            "spring 2027",
            "-x",
            ".x",
            "x.",
            "a..b",
            "x.lock",
            "a/b",
            "a@{1}",
            "a~1",
            "ü",
            "x\ny",
            "HEAD",
            "a;b",
            '"',
            "#",
        ],
    )
    def test_refuses_what_is_no_tag(self, tree, tmp_path, branch):
        before = tree()
        with pytest.raises(ValueError, match="the name of a tag such as 2027-spring"):
            repository.change(tmp_path, self.NEW, branch)
        assert tree() == before

    def test_refuses_another_version_and_nothing_at_all(self, tree, tmp_path):
        before = tree()
        with pytest.raises(ValueError, match=f"not the tag of this version, which is v{hybridlib.__version__}"):
            repository.change(tmp_path, branch="v99.0")
        with pytest.raises(ValueError, match="usage"):
            repository.change(tmp_path)
        assert tree() == before


class TestCommandLine:
    """What is typed after `make` is text: nothing in it is executed, and each script refuses what is no answer."""

    EVIL = ["https://github.com/a/b; touch touched", "$(shell touch touched)", "$$(touch touched)", "`touch touched`"]

    @pytest.mark.parametrize("value", EVIL)
    @pytest.mark.parametrize(
        "target, name",
        [("repository", "URL"), ("repository", "BRANCH"), ("colab-test", "CHAPTERS"), ("lock", "HELD")]
        + [("elsewhere", name) for name in ("CHAPTERS", "SHIFT", "THREADS")]
        + [("gpu-rehearsal", "CHAPTERS"), ("gpu-rehearsal", "FULL"), ("gpu-test", "CHAPTERS"), ("pdf", "CHAPTERS")],
    )
    def test_is_never_executed(self, tmp_path, target, name, value):
        shutil.copy(ROOT / "Makefile", tmp_path)
        inside = tmp_path / ".venv/bin/python"  # it does nothing but write down what it is given
        inside.parent.mkdir(parents=True)
        inside.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" "${name}" "$OMP_NUM_THREADS" >> given\n')
        inside.chmod(0o755)
        (inside.parent / "jupyter-book").symlink_to("python")
        command = ["make", target, f"PYTHON={inside}", f"{name}={value}"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        given = (tmp_path / "given").read_text().splitlines()
        assert not (tmp_path / "touched").exists(), f"make {target} {name}={value!r} ran the command inside"
        assert value in given, "the script did not get what was typed"

    def test_scripts_refuse_what_is_no_answer(self, tmp_path):
        for script, *arguments in (
            ("execute.py", "--shift", "1; touch touched"),
            ("execute.py", "--shift", "1", "made;"),
            ("execute.py", "made"),
            ("colab_test.py", "no-such-chapter"),
            ("lock.py", "--index-url=https://example.org"),
            ("repository.py", "https://github.com/../..", ""),
            ("repository.py", "", "a b"),
            ("repository.py", "", ""),
        ):
            ran = subprocess.run(
                [sys.executable, ROOT / "tools" / script, *arguments], cwd=tmp_path, capture_output=True
            )
            assert ran.returncode, f"{script} accepts {arguments}"
            assert b"Traceback" not in ran.stderr, ran.stderr.decode()


def actions():
    """Every action that a workflow uses -> (file, name, version, the comment behind it)."""
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        for name, version, comment in re.findall(r"uses: ([\w/-]+)@(\S+)(.*)", path.read_text("utf-8")):
            yield path.name, name, version, comment


class TestWorkflows:
    def test_actions_are_pinned_by_commit(self):
        for file, name, version, comment in actions():
            assert re.fullmatch(r"[0-9a-f]{40}", version), f"{file}: {name}@{version} may move; name the commit"
            assert re.fullmatch(r"  # v\d+\.\d+\.\d+", comment), f"{file}: {name}: say the version of the commit"
        assert len({(name, version) for _, name, version, _ in actions()}) == len({name for _, name, _, _ in actions()})

    def test_only_the_job_that_publishes_may_publish(self):
        for path in (ROOT / ".github/workflows").glob("*.yml"):
            workflow = yaml.safe_load(path.read_text("utf-8"))
            assert workflow["permissions"] == {"contents": "read"}, path.name
            for name, job in workflow["jobs"].items():
                assert "timeout-minutes" in job, f"{path.name}: {name} may stall for hours"
                if "permissions" in job:
                    assert (path.name, name) == ("tests.yml", "deploy")
                    assert not [step for step in job["steps"] if "run" in step], "what may publish runs nothing of ours"

    def test_what_is_published_is_what_was_tested(self):
        """Quick, then full, then the artifact of full: no job builds the site a second time."""
        workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text("utf-8"))
        assert {"push", "pull_request"} <= workflow[True].keys()  # YAML reads `on` as a truth value
        quick, full, deploy = (workflow["jobs"][name] for name in ("quick", "full", "deploy"))
        assert list(workflow["jobs"]) == ["quick", "full", "deploy"]
        assert (full["needs"], deploy["needs"]) == ("quick", "full")
        assert "default_branch" in deploy["if"] and "!= 'pull_request'" in deploy["if"]
        *_, tested, upload = full["steps"]
        assert tested == {"run": ".ci/run"} and upload["with"] == {"path": "_build/html"}
        legs = {leg["target"]: leg["python"] for leg in quick["strategy"]["matrix"]["include"]}
        assert legs["oldest"] == oldest_python() and set(legs) == {"quick", "oldest"}
        assert oldest_python() in full["strategy"]["matrix"]["python"]


def specified():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def oldest_python():
    return specified()["requires-python"].removeprefix(">=")


class TestOldestVersions:
    def test_everything_that_readers_install_is_pinned(self):
        pins = dict(pin.split("==") for pin in oldest.oldest(specified()))
        assert {"torch": "2.4", "numpy": "1.26", "rdkit": "2024.3.2"}.items() <= pins.items()
        assert "pytest" not in pins and "hybridlib" not in pins

    def test_a_need_without_a_bound_is_refused(self):
        project = {"name": "x", "dependencies": ["torch"], "optional-dependencies": {}}
        with pytest.raises(ValueError, match="'torch' names no oldest version"):
            oldest.oldest(project)


class TestRelease:
    """One version: the library's. The date is the changelog's. One tag: that of _config.yml, a term's or the version's.

    Everything else is written by `make first-cells`.
    """

    def test_the_changelog_has_it_with_a_date(self):
        assert first_cells.released()[0] == hybridlib.__version__

    @pytest.mark.parametrize("name", first_cells.FILES)
    def test_what_follows_it_does(self, name):
        text = (ROOT / name).read_text("utf-8")
        assert text == first_cells.at_this_version(text), "`make first-cells` writes it"
        assert (hybridlib.__version__ if name == "CITATION.cff" else first_cells.TAG) in text

    def test_another_version_would_be_written_everywhere(self, monkeypatch):
        monkeypatch.setattr(first_cells, "TAG", "v9.8.7")
        monkeypatch.setattr(first_cells, "released", lambda: ("9.8.7", "2030-01-02"))
        for name in first_cells.FILES:
            text = first_cells.at_this_version((ROOT / name).read_text("utf-8"))
            assert "9.8.7" in text and f"v{hybridlib.__version__}" not in text, name
        assert "date-released: 2030-01-02" in first_cells.at_this_version("date-released: 2000-01-01")
        assert "@v9.8.7" in first_cells.first_cell_source()

    def test_a_version_s_tag_follows_and_a_term_s_stays(self, monkeypatch):
        monkeypatch.setattr(hybridlib, "__version__", "9.8.7")
        expected = {"v0.1.0": "v9.8.7", "2027-spring": "2027-spring", "main": "main"}
        assert {tag: first_cells.edition(tag) for tag in expected} == expected

    def test_buttons_cells_and_links_name_one_tag(self):
        config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
        citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
        assert config["branch"] == first_cells.TAG == hybridlib.__edition__
        assert citation["version"] == hybridlib.__version__
        assert str(citation["date-released"]) == first_cells.released()[1]
        readme = (ROOT / "README.md").read_text("utf-8")
        tags = {*re.findall(r"/blob/([^/]+)/book/", readme), *re.findall(r"git\+https://[^\s\"@]+@([\w.-]+)", readme)}
        assert tags == {first_cells.TAG}

    @pytest.mark.parametrize("heading", ["## 0.1.0 (unreleased)", "## 0.1.0"])
    def test_a_heading_without_a_date_is_refused(self, tmp_path, monkeypatch, heading):
        (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
        monkeypatch.setattr(first_cells, "ROOT", tmp_path)
        with pytest.raises(ValueError, match="YYYY-MM-DD"):
            first_cells.released()


ISSUE_FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


class TestTemplates:
    @pytest.mark.parametrize("path", ISSUE_FORMS, ids=lambda path: path.stem)
    def test_issue_forms_are_whole(self, path):
        form = yaml.safe_load(path.read_text("utf-8"))
        assert form.keys() == {"name", "description", "labels", "body"}
        fields = [field for field in form["body"] if field["type"] != "markdown"]
        assert fields and len({field["id"] for field in fields}) == len(fields)
        for field in fields:
            assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"} and field["attributes"]["label"]
            assert field["validations"] == {"required": True}, "ask for nothing that is not needed"

    def test_there_is_one_for_each_purpose(self):
        assert [path.stem for path in ISSUE_FORMS] == ["book", "library", "question"]
        assert "CHANGELOG.md" in (ROOT / ".github/pull_request_template.md").read_text("utf-8")


def test_tests_mirror_the_house():
    missing = []
    for room in ROOMS.keys() - {"__init__", "page", "recipes", "recipes.__main__", "teach", "teach.__main__"}:
        *folder, name = room.split(".")
        if not (place := ROOT.joinpath("tests", *folder, f"test_{name}.py")).exists():
            missing.append(str(place.relative_to(ROOT)))
    assert not missing, f"rooms without a test of their own: {sorted(missing)}"

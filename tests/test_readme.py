"""README's code runs in an environment of exactly what README says to install, and says there what README says.

The environment holds hybridlib as a wheel of this tree and, of the packages that are installed here, only those that
its metadata ask for, with what these ask for in turn. Nothing is downloaded; in the weekly workflow pip itself follows
README.
"""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import readme
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
ROOMS = sorted(
    ".".join(path.relative_to(ROOT / "hybridlib").with_suffix("").parts)
    for path in (ROOT / "hybridlib").rglob("*.py")
    if path.stem not in ("__init__", "__main__")
)
SPECIFIED = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """hybridlib built from the files that git tracks or would track: what nobody commits, nobody can install."""
    folder = tmp_path_factory.mktemp("wheel")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "hybridlib", "pyproject.toml", "*.md"]
    names = subprocess.run([*command, "LICENSE"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "tree" / name)
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", folder, folder / "tree"], check=True)
    return next(folder.glob("hybridlib-*.whl"))


def test_the_wheel_holds_all_that_the_library_opens(wheel):
    """Explorers, quizzes, checkpoints, results: a chapter in Colab has nothing but the wheel."""
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "hybridlib").rglob("*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name} <= {*zipfile.ZipFile(wheel).namelist()}


def needs(requirements, extras=()):
    """Requirements, and the extras in whose name they are made -> names of all distributions they lead to."""
    found, open_ = set(), [(Requirement(line), extras) for line in requirements]
    while open_:
        requirement, extras = open_.pop()
        holds = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in (*extras, ""))
        seen = (requirement.name.lower().replace("_", "-"), frozenset(requirement.extras))
        if not holds or seen in found:
            continue
        found.add(seen)
        inside = SPECIFIED["dependencies"] if seen[0] == "hybridlib" else importlib.metadata.requires(seen[0]) or []
        if seen[0] == "hybridlib":
            inside = inside + [line for extra in seen[1] for line in SPECIFIED["optional-dependencies"][extra]]
        open_ += [(Requirement(line), seen[1]) for line in inside]
    return {name for name, _ in found} - {"hybridlib"}


def environment(folder, wheel, extras):
    """An environment of nothing but hybridlib[extras] -> its interpreter. Files are links to those installed here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    for name in needs([f"hybridlib[{','.join(extras)}]"]):
        for file in importlib.metadata.files(name):
            source, place = Path(file.locate()), site / file
            if file.parts[0] != ".." and file.suffix != ".pyc":
                place.parent.mkdir(parents=True, exist_ok=True)
                if not place.exists():  # packages may share a file, such as nvidia/__init__.py
                    place.symlink_to(source)
    return folder / "bin" / "python"


def run(python, code, cwd):
    command = [python, "-I", "-"]  # -I: neither this folder nor PYTHONPATH can lend a package
    return subprocess.run(command, input=code, cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def bare(tmp_path_factory, wheel):
    """hybridlib without any extra."""
    return environment(tmp_path_factory.mktemp("bare"), wheel, [])


def test_an_install_command_stands_above_every_example():
    assert [extras for extras, _ in readme.examples()] == [["pictures"]]


@pytest.mark.parametrize("extras, code", readme.examples())
def test_examples_run_where_only_what_readme_names_is_installed(tmp_path, wheel, extras, code):
    ran = run(environment(tmp_path / "venv", wheel, extras), code, tmp_path)
    assert ran.returncode == 0, ran.stderr
    told = re.findall(r"^print\(.*  # (.*)$", code, flags=re.MULTILINE)
    assert told and len(told) == code.count("print("), "every print of README says in a comment what it prints"
    printed = ran.stdout.splitlines()
    for line in told:
        # numbers that training leaves are rounded in README
        assert any(said(line, other) for other in printed), f"README says {line!r}, printed was\n{ran.stdout}"


def said(told, printed):
    """Does the line that README tells agree with the one printed? "about 21.3" allows 5 per cent, "..." more text."""
    if told.startswith("about "):
        number = re.fullmatch(r"-?\d+\.\d+", printed)
        wanted = float(told.split()[1])
        return number is not None and abs(float(printed) - wanted) < 0.05 * abs(wanted)
    return printed.startswith(told.removesuffix(" ...")) if told.endswith(" ...") else told == printed


def test_rooms_that_need_an_extra_say_which(bare, tmp_path):
    code = f"""
import importlib
for room in {ROOMS}:
    try:
        importlib.import_module("hybridlib." + room)
    except ModuleNotFoundError as error:
        print(room + ": " + str(error))
"""
    ran = run(bare, code, tmp_path)
    assert ran.returncode == 0, ran.stderr
    told = dict(line.split(": ", 1) for line in ran.stdout.splitlines())
    molecules = {"metrics", "molecules", "universe"}
    figures = {"page.source", "page.viz", "page.explorer", "page.widgets", "teach.lms"}  # which reads the quizzes
    assert set(told) == molecules | figures
    for extra, rooms in (("molecules", molecules), ("figures", figures)):
        for room in rooms:
            assert re.search(rf"needs the package \w+, .*: pip install 'hybridlib\[{extra}\]'$", told[room]), told[room]


CALLS = {
    "datasets.load('digits')": "pictures",
    "datasets.load('mnist5k')": "pictures",
    "datasets.load('smiles')": "molecules",
    "datasets.load_strings('smiles')": "molecules",
    "datasets.load_graphs('qm9')": "molecules",
    "comparison.probe([torch.ones(2, 1)] * 2, [torch.tensor([0, 1])] * 2)": "pictures",
}


def test_calls_that_need_an_extra_say_which(bare, tmp_path):
    code = f"""
import torch
from hybridlib import datasets
from hybridlib.page import comparison
for call in {list(CALLS)}:
    try:
        eval(call)
    except ModuleNotFoundError as error:
        print(error)
"""
    ran = run(bare, code, tmp_path)
    assert ran.returncode == 0, ran.stderr
    told = ran.stdout.splitlines()
    assert len(told) == len(CALLS), ran.stdout
    for line, (call, extra) in zip(told, CALLS.items()):
        assert line.endswith(f"pip install 'hybridlib[{extra}]'"), f"{call}: {line}"


def test_readme_tells_every_extra():
    told = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text("utf-8"), flags=re.MULTILINE))
    assert told == set(SPECIFIED["optional-dependencies"]) - {"dev"}

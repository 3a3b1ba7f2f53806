"""The explorers' JavaScript: one home for each function, pages that carry no more than they need, and its linter."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from hybridlib.page import explorer

ROOT = Path(__file__).resolve().parent.parent
CODES = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "hybridlib/page/explorers").glob("*.js"))}
EXPLORERS = [name for name, code in CODES.items() if "\nexport default {" in code]
NAMED = r"(?:function|class|const|let) (\w+)"
PARTS = {  # what the files that are no explorers offer -> the file
    name: file
    for file in CODES.keys() - set(EXPLORERS)
    for name in re.findall(rf"^export {NAMED}", CODES[file], flags=re.MULTILINE)
}


def defined(code):
    """The names that a module defines for all of itself."""
    return re.findall(rf"^(?:export )?{NAMED}", code, flags=re.MULTILINE)


def functions(code):
    """The names of its functions, also of those inside others."""
    found = re.findall(r"function (\w+)\(|(?:const|let) (\w+) = (?:\([^()]*\)|\w+) =>", code)
    return {declared or arrow for declared, arrow in found}


def test_no_function_is_defined_in_two_files():
    homes = {}
    for file, code in CODES.items():
        for name in functions(code) & set(defined(code)):
            homes.setdefault(name, []).append(file)
    assert homes["sum"] == ["chance"] and homes["slider"] == ["kit"], "the pattern finds both kinds"
    assert not {name: files for name, files in homes.items() if len(files) > 1}


def test_no_file_has_its_own_copy_of_what_a_part_offers():
    assert PARTS.keys() >= {"sum", "softmax", "slider", "shuffled", "plus", "report"}
    for file, code in CODES.items():
        copies = {name: PARTS[name] for name in functions(code) & PARTS.keys() if PARTS[name] != file}
        assert not copies, f"{file}.js has its own {copies}: import it"
        assert not functions(code) & {"shuffle"}, f"{file}.js: chance.js has `shuffled`"


def test_every_part_is_used():
    imported = {name for code in CODES.values() for names in re.findall(r"^import \{([^}]*)\}", code, re.MULTILINE)
                for name in re.findall(r"\w+", names)}  # fmt: skip
    assert imported == PARTS.keys(), "what nobody imports needs no `export`, or is not needed"


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_page_carries_each_part_once_and_no_other(name):
    source = explorer.module_source(name)
    names = defined(source)
    assert len(names) == len(set(names)) and not re.search("^import", source, flags=re.MULTILINE)
    assert source.count("\nexport default {") == 1
    needed, open_ = set(), [name]
    while open_:
        file = open_.pop()
        needed.add(file)
        open_ += {other for other in re.findall(r'from "\./(\w+)\.js"', CODES[file]) if other not in needed}
    assert sorted(names) == sorted(["STYLES", *(n for file in needed for n in defined(CODES[file]))])


def lint(folder):
    command = [Path(sysconfig.get_path("scripts"), "oxlint"), "hybridlib/page/explorers"]  # as `make lint`
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture
def house(tmp_path):
    """A copy of what the linter reads."""
    shutil.copy(ROOT / ".oxlintrc.json", tmp_path)
    shutil.copytree(ROOT / "hybridlib/page/explorers", tmp_path / "hybridlib/page/explorers")
    return tmp_path


def test_the_linter_has_nothing_to_say(house):
    ran = lint(house)
    assert ran.returncode == 0 and f"{len(CODES)} files" in ran.stdout, ran.stdout


PLANTED = {
    "a name without use": ("const lost = 3;", "no-unused-vars"),
    "an import without use": ('import { axis } from "./plot.js";', "no-unused-vars"),
    "an unknown name": ("export const wrong = () => summ([1, 2]);", "no-undef"),
    "an unknown import": ('import { summ } from "./chance.js";\nexport const wrong = summ;', "import(named)"),
    "a double function": ("function fieldset() {}", "already been declared"),
    "a shadow": ("export const wrong = (frame) => frame;", "no-shadow"),
    "a single equals sign": ("export const wrong = (x) => { if (x = 1) return x; return 2; };", "no-cond-assign"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_linter_finds_what_is_planted(house, name):
    line, complaint = PLANTED[name]
    with (house / "hybridlib/page/explorers/quiz.js").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    ran = lint(house)
    assert ran.returncode == 1 and complaint in ran.stdout, ran.stdout

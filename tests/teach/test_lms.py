"""All quizzes arrive in GIFT and in QTI: every question, the right answer, what is said about each option."""

import re
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from hybridlib.page import widgets
from hybridlib.teach import lms

ROOT = Path(__file__).resolve().parents[2]
QUIZZES = lms.quizzes(ROOT)
NASTY = {
    "question": r"Is {x} = y ~ z: #1 \neq \{2\}?",
    "options": [
        {"text": "[html] = ~ -> <code>a{b}</code> %50%", "correct": True, "why": r"\n is no newline: \\ neither"},
        {"text": "// no comment", "correct": False, "why": "two\n\nlines &amp; ####"},
    ],
}


def read_gift(text):
    """A reader of its own, by the rules of Moodle's: {category: [(name, question, [(right, text, feedback)])]}."""
    found, category = {}, None
    for block in re.split(r"\n[ \t]*\n", text.strip()):
        block = "\n".join(line for line in block.splitlines() if not line.strip().startswith("//")).strip()
        if not block:
            continue
        if block.startswith("$CATEGORY:"):
            category = found.setdefault(block.removeprefix("$CATEGORY:").strip(), [])
            continue
        # what is escaped is set aside as one character of a private area, so that nothing can mistake it
        block = re.sub(r"\\([\\~=#{}:])", lambda escaped: chr(0xE000 + ord(escaped[1])), block)
        assert block.count("{") == block.count("}") == 1 and block.endswith("}")
        name, question, inside = re.fullmatch(r"::(.*?)::(.*?)\{(.*)\}", block, re.DOTALL).groups()
        options = [re.fullmatch(r"([=~])(.*?)#(.*)", o.strip()).groups() for o in re.findall(r"[=~][^=~]+", inside)]
        category.append((plain(name), html(question), [(sign == "=", html(t), html(why)) for sign, t, why in options]))
    return found


def plain(text):
    return re.sub("[\ue000-\ue07f]", lambda private: chr(ord(private[0]) - 0xE000), text.strip())


def html(text):
    assert text.startswith("[html]"), text
    return plain(text.removeprefix("[html]"))


def told(questions):
    """Questions as both readers give them back; white space is one blank."""

    def words(part, key):
        return " ".join(part[key].split())

    return [
        (words(q, "question"), [(o["correct"], words(o, "text"), words(o, "why")) for o in q["options"]])
        for q in questions
    ]


def test_every_quiz_of_the_book_is_there():
    asked = [len(widgets.questions(path.stem)) for path in (ROOT / "hybridlib/page/quizzes").iterdir()]
    beforehand = yaml.safe_load((ROOT / "teach/prerequisites.yml").read_text("utf-8"))
    assert len(QUIZZES["00 Prerequisites"]) == len(beforehand) == 10
    assert sum(map(len, QUIZZES.values())) == sum(asked) + 10 and len(QUIZZES) == len(asked) + 1
    assert all(re.fullmatch(r"\d\d [^/]+", title) for title in QUIZZES)


def test_gift_comes_back_as_it_was():
    found = read_gift(lms.gift(QUIZZES).decode())
    assert [category.split("/")[-1] for category in found] == list(QUIZZES)
    for (title, questions), read in zip(QUIZZES.items(), found.values()):
        assert [(question, options) for _, question, options in read] == told(questions)
        assert [name for name, _, _ in read] == [f"{title}, question {n}" for n in range(1, len(questions) + 1)]


def test_what_has_a_meaning_to_gift_is_escaped():
    found = read_gift(lms.gift({"a/b: c": [NASTY]}).decode())
    ((name, question, options),) = found["$course$/top/Hybrid Generative Models/a//b: c"]
    assert name == "a/b: c, question 1"
    assert [(question, options)] == told([NASTY])


def parsed(package):
    with zipfile.ZipFile(BytesIO(package)) as archive:
        assert archive.testzip() is None
        return {name: ElementTree.fromstring(archive.read(name)) for name in archive.namelist()}


Q = f"{{{lms.QTI}}}"
# the part of the DTD of QTI 1.2 that is used: element -> what it holds, in this order
HOLDS = {
    "questestinterop": "assessment",
    "assessment": "section",
    "section": "item+",
    "item": "itemmetadata presentation resprocessing itemfeedback+",
    "itemmetadata": "qtimetadata",
    "qtimetadata": "qtimetadatafield+",
    "qtimetadatafield": "fieldlabel fieldentry",
    "presentation": "material response_lid",
    "response_lid": "render_choice",
    "render_choice": "response_label+",
    "response_label": "material",
    "material": "mattext",
    "resprocessing": "outcomes respcondition+",
    "outcomes": "decvar",
    "respcondition": "conditionvar (setvar|displayfeedback)",
    "conditionvar": "varequal",
    "itemfeedback": "flow_mat",
    "flow_mat": "material",
}


def test_qti_is_built_as_its_definition_says():
    trees = parsed(lms.qti(QUIZZES))
    manifest, namespace = trees.pop("imsmanifest.xml"), f"{{{lms.PACKAGE}}}"
    listed = manifest.findall(f"{namespace}resources/{namespace}resource")
    assert {resource.get("type") for resource in listed} == {"imsqti_xmlv1p2"}
    assert [resource.get("href") for resource in listed] == list(trees)
    assert [resource.find(f"{namespace}file").get("href") for resource in listed] == list(trees)
    for tree in trees.values():
        for element in tree.iter():
            name, children = element.tag.removeprefix(Q), "".join(f"{child.tag.removeprefix(Q)} " for child in element)
            parts = HOLDS.get(name, "").split()
            shape = "".join(f"({part.rstrip('+')} ){'+' if part.endswith('+') else ''}" for part in parts)
            assert re.fullmatch(shape, children), f"{name} holds {children}"
        names = [element.get("ident") for element in tree.iter(f"{Q}item")]
        assert len(set(names)) == len(names)


def test_qti_comes_back_as_it_was():
    package = lms.qti(QUIZZES | {"99 Nasty": [NASTY]})
    trees = list(parsed(package).values())[1:]
    for (title, questions), tree in zip([*QUIZZES.items(), ("99 Nasty", [NASTY])], trees, strict=True):
        assert tree.find(f"{Q}assessment").get("title") == title
        read = []
        for item in tree.iter(f"{Q}item"):
            labels = {label.get("ident"): words(label) for label in item.iter(f"{Q}response_label")}
            feedback = {part.get("ident"): words(part) for part in item.iter(f"{Q}itemfeedback")}
            said, scores = {}, {}
            for condition in item.iter(f"{Q}respcondition"):
                letter = condition.find(f"{Q}conditionvar/{Q}varequal").text
                if (shown := condition.find(f"{Q}displayfeedback")) is not None:
                    said[letter] = feedback[shown.get("linkrefid")]
                    assert condition.get("continue") == "Yes", "the score would not be reached"
                else:
                    scores[letter] = condition.find(f"{Q}setvar").text
            assert list(scores.values()) == ["100"]
            read.append((words(item.find(f"{Q}presentation")), [(k in scores, labels[k], said[k]) for k in labels]))
        assert read == told(questions)


def words(element):
    return " ".join(element.find(f".//{Q}mattext").text.split())


def test_the_same_quizzes_give_the_same_bytes():
    assert lms.gift(QUIZZES) == lms.gift(lms.quizzes(ROOT)) and lms.qti(QUIZZES) == lms.qti(lms.quizzes(ROOT))


def command(*arguments, where):
    line = [sys.executable, "-m", "hybridlib.teach", "export", *arguments]
    return subprocess.run(line, cwd=where, capture_output=True, text=True)


@pytest.mark.parametrize("kind", ["gift", "qti"])
def test_the_command_writes_one_file_and_names_it(tmp_path, kind):
    out = tmp_path / "new" / "folder"
    done = command(kind, "--out", str(out), where=ROOT)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in out.iterdir()] == [lms.FILES[kind]]
    assert done.stdout.strip().endswith(lms.FILES[kind])


def test_what_is_no_clone_gets_one_line(tmp_path):
    done = command("gift", "--out", str(tmp_path / "out"), where=tmp_path)
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert done.stderr.count("\n") == 1 and "no clone of the book" in done.stderr, done.stderr

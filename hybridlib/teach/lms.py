"""The book's quizzes for learning management systems: Moodle's GIFT, and a package of plain QTI 1.2. Nothing is sent.

Moodle reads GIFT (docs.moodle.org, "GIFT format"; its reader, question/format/gift, decides what is escaped), and no
QTI. For all others QTI 1.2 (IMS, 2002) and not 2.1: Canvas, ILIAS, Blackboard, Brightspace and Sakai import it, while
of 2.1 each reads another part. The package has one assessment a quiz, without anything of a single system.
"""

import json
import os
import re
import zipfile
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import yaml

from ..page import widgets

QTI = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
PACKAGE = "http://www.imsglobal.org/xsd/imscp_v1p1"
FILES = {"gift": "quizzes.gift.txt", "qti": "quizzes-qti12.zip"}


def quizzes(root: Path) -> dict[str, list[dict]]:
    """All quizzes of a clone of the book, as its pages show them -> {"05 MADE, done right": questions, ...}.

    root: the top of the clone. Questions and options are HTML; the prerequisite test comes first, as "00 ...".
    `ValueError` where no book is.

    >>> list(quizzes(Path(".")))[5]
    '05 MADE, done right'
    """
    root = Path(root)
    beforehand, chapters = root / "teach" / "prerequisites.yml", sorted((root / "book").glob("*.ipynb"))
    if not beforehand.is_file() or not chapters:
        raise ValueError(f"{root.resolve()} is no clone of the book: it lacks {beforehand.relative_to(root)} or book/")
    asked = {"00 Prerequisites": [without_link(item) for item in yaml.safe_load(beforehand.read_text("utf-8"))]}
    for path in chapters:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        title = re.search(r"^# (\d+)\. (.+)", "\n".join("".join(cell["source"]) for cell in cells), re.MULTILINE)
        if title:  # the introduction has no number, and no quiz
            asked[f"{int(title[1]):02} {title[2]}"] = path.stem
    return {title: widgets.quiz(asked[title]).data["questions"] for title in sorted(asked)}


def without_link(item: dict) -> dict:
    """A question of the prerequisite test as `widgets.quiz` takes it, without the link that refreshes its subject.

    >>> without_link({"question": "2 + 2?", "options": [], "refresh": {"text": "sums", "href": "https://..."}})
    {'question': '2 + 2?', 'options': []}
    """
    return {key: value for key, value in item.items() if key != "refresh"}


def gift(asked: dict[str, list[dict]]) -> bytes:
    r"""Quizzes as Moodle's GIFT: a category each, and for every option what is said when it is chosen.

    >>> question = {"question": "Is 1 = 2?", "options": [{"text": "no", "correct": True, "why": "They differ."}]}
    >>> print(gift({"Sums": [question]}).decode().split("\n\n")[-1])
    ::Sums, question 1::[html]Is 1 \= 2? {
    =[html]no#[html]They differ.
    }
    """
    blocks = ["// The quizzes of the book Hybrid Generative Models, for Moodle: question bank, import, GIFT format."]
    for title, questions in asked.items():
        blocks.append("$CATEGORY: $course$/top/Hybrid Generative Models/" + title.replace("/", "//"))
        for number, item in enumerate(questions, 1):
            lines = [f"::{_gift_text(title)}, question {number}::[html]{_gift_text(item['question'])} {{"]
            for option in item["options"]:
                sign = "=" if option["correct"] else "~"
                lines.append(f"{sign}[html]{_gift_text(option['text'])}#[html]{_gift_text(option['why'])}")
            blocks.append("\n".join([*lines, "}"]))
    return ("\n\n".join(blocks) + "\n").encode()


def _gift_text(html):
    """On one line, and with a backslash before each character that has a meaning to GIFT."""
    return re.sub(r"([\\~=#{}:])", r"\\\1", " ".join(html.split()))


def qti(asked: dict[str, list[dict]]) -> bytes:
    """Quizzes as a package of QTI 1.2, the bytes of a zip file: a manifest, and one assessment for each quiz.

    The same quizzes give the same bytes.

    >>> question = {"question": "Is 1 = 2?", "options": [{"text": "no", "correct": True, "why": "They differ."}]}
    >>> zipfile.ZipFile(BytesIO(qti({"01 Sums": [question]}))).namelist()
    ['imsmanifest.xml', 'quiz-01.xml']
    """
    names = {f"quiz-{title.split()[0]}": title for title in asked}
    manifest = ElementTree.Element("manifest", {"xmlns": PACKAGE, "identifier": "hybrid-generative-models"})
    metadata = ElementTree.SubElement(manifest, "metadata")
    ElementTree.SubElement(metadata, "schema").text = "IMS Content"
    ElementTree.SubElement(metadata, "schemaversion").text = "1.1.3"
    ElementTree.SubElement(manifest, "organizations")
    resources = ElementTree.SubElement(manifest, "resources")
    for name in names:
        kind = {"identifier": name, "type": "imsqti_xmlv1p2", "href": f"{name}.xml"}
        resource = ElementTree.SubElement(resources, "resource", kind)
        ElementTree.SubElement(resource, "file", {"href": f"{name}.xml"})
    files = {"imsmanifest.xml": manifest} | {f"{n}.xml": _assessment(n, t, asked[t]) for n, t in names.items()}
    memory = BytesIO()
    with zipfile.ZipFile(memory, "w") as package:  # stored, for compressors differ, and dated as the first zip files
        for name, tree in files.items():
            ElementTree.indent(tree)
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # a file of Unix, on every system
            package.writestr(entry, ElementTree.tostring(tree, encoding="utf-8", xml_declaration=True))
    return memory.getvalue()


def _assessment(name, title, questions):
    """One quiz -> the element questestinterop."""
    root = ElementTree.Element("questestinterop", {"xmlns": QTI})
    assessment = ElementTree.SubElement(root, "assessment", {"ident": name, "title": title})
    section = ElementTree.SubElement(assessment, "section", {"ident": f"{name}-section"})
    for number, item in enumerate(questions, 1):
        _item(section, f"{name}-{number}", f"{title}, question {number}", item)
    return root


def _item(section, ident, title, question):
    """A question with one right option: what is shown, what it is worth, and what is said; in the order of the DTD."""
    item = ElementTree.SubElement(section, "item", {"ident": ident, "title": title})
    fields = ElementTree.SubElement(ElementTree.SubElement(item, "itemmetadata"), "qtimetadata")
    for label, entry in {"question_type": "multiple_choice_question", "points_possible": "1"}.items():
        field = ElementTree.SubElement(fields, "qtimetadatafield")
        ElementTree.SubElement(field, "fieldlabel").text = label
        ElementTree.SubElement(field, "fieldentry").text = entry
    presentation = ElementTree.SubElement(item, "presentation")
    _material(presentation, question["question"])
    answer = ElementTree.SubElement(presentation, "response_lid", {"ident": "answer", "rcardinality": "Single"})
    choice = ElementTree.SubElement(answer, "render_choice", {"shuffle": "Yes"})
    scoring = ElementTree.SubElement(item, "resprocessing")
    score = {"varname": "SCORE", "vartype": "Decimal", "minvalue": "0", "maxvalue": "100"}
    ElementTree.SubElement(ElementTree.SubElement(scoring, "outcomes"), "decvar", score)
    for letter, option in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", question["options"]):
        _material(ElementTree.SubElement(choice, "response_label", {"ident": letter}), option["text"])
        # feedback goes on to the next condition, so that the score below is reached
        _condition(
            scoring, letter, "Yes", "displayfeedback", {"feedbacktype": "Response", "linkrefid": f"why-{letter}"}
        )
        feedback = ElementTree.SubElement(item, "itemfeedback", {"ident": f"why-{letter}"})
        _material(ElementTree.SubElement(feedback, "flow_mat"), option["why"])
    for letter, option in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", question["options"]):
        if option["correct"]:
            _condition(scoring, letter, "No", "setvar", {"action": "Set", "varname": "SCORE"}).text = "100"


def _material(parent, html):
    """HTML as the text of an element, which is how QTI 1.2 carries it."""
    ElementTree.SubElement(ElementTree.SubElement(parent, "material"), "mattext", {"texttype": "text/html"}).text = html


def _condition(scoring, letter, go_on, tag, attributes):
    """What happens if an option is chosen -> the element that says it."""
    condition = ElementTree.SubElement(scoring, "respcondition", {"continue": go_on})
    ElementTree.SubElement(
        ElementTree.SubElement(condition, "conditionvar"), "varequal", {"respident": "answer"}
    ).text = letter
    return ElementTree.SubElement(condition, tag, attributes)


def export_quizzes(kind: str, folder: Path, root: Path) -> Path:
    """Write all quizzes of the clone at `root` into a folder, whole or not at all -> the file.

    kind: "gift" or "qti". `ValueError` where no book is, `OSError` where nothing can be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_quizzes("gift", Path(folder), Path(".")).name
    'quizzes.gift.txt'
    """
    content = {"gift": gift, "qti": qti}[kind](quizzes(root))
    folder.mkdir(parents=True, exist_ok=True)
    part, path = folder / f"{FILES[kind]}.part", folder / FILES[kind]
    part.write_bytes(content)
    os.replace(part, path)
    return path

"""Try answers to the exercises of a chapter, and say which of them are judged otherwise than they should be.

The longer exercises of teach/exercises count as chapters.

    python tools/answers.py made           every exercise of the chapter
    python tools/answers.py made ex3       one of them: what its reader hears for each answer
    --short                                trainings of the chapter cut short, for a first look

A chapter runs once. After each cell exN-check the answers of tests/answers/CHAPTER.yml stand in for the reader's, each
in a copy of the chapter's names:

    ex3:
      - is: right              # or half, mistake, cheat: these must fail
        about: with a running sum
        says: found 3          # if the feedback should contain it
        code: |
          def my_answer(x): ...
"""

import argparse
import ast
import linecache
import sys
from pathlib import Path

import chapters
import torch
import yaml

from hybridlib.teach import sets

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("right", "half", "mistake", "cheat")
LIMIT = 3600  # seconds for a chapter with its answers: for stalls


def notebook(chapter):
    """The file of a chapter or of a longer exercise."""
    longer = ROOT / "teach" / "exercises" / f"{chapter}.ipynb"
    return longer if longer.exists() else ROOT / "book" / f"{chapter}.ipynb"


def corpus(chapter):
    """The answers to a chapter's exercises -> {exercise: [answer, ...]}, nothing if there is no file."""
    path = ROOT / "tests" / "answers" / f"{chapter}.yml"
    return (yaml.safe_load(path.read_text("utf-8")) or {}) if path.exists() else {}


def exercises(chapter):
    """The exercises of a chapter, as their cells are named -> list of "ex1", "ex2" and so on."""
    names = [name for _, name, _, _ in chapters.cells(notebook(chapter))]
    return [name.removesuffix("-check") for name in names if is_check(name)]


def is_check(name):
    """Is that the id of a cell which judges an exercise?"""
    return name.startswith("ex") and name.endswith("-check") and name[2:-6].isdigit()


def gaps(chapter):
    """What the answers of a chapter lack -> list of sentences."""
    given, asked = corpus(chapter), exercises(chapter)
    cells = sets.cells_of(notebook(chapter))
    withheld = [name for name in asked if sets.WITHHELD in sets.text_of(cells.get(f"{name}-solution", {"source": ""}))]
    found = [f"{name}: there is no such exercise" for name in given if name not in asked]
    for name in asked:
        if name in withheld:  # in a term's edition: its answers went with its solution
            continue
        answers = given.get(name, [])
        kinds = [answer.get("is") for answer in answers]
        if len(answers) < 5:
            found.append(f"{name}: {len(answers)} answers beside the solution, five are asked for")
        found += [f"{name}: no answer is {kind}" for kind in KINDS if kind not in kinds]
        for answer in answers:
            if set(answer) - {"says"} != {"is", "about", "code"} or answer["is"] not in KINDS:
                found.append(f"{name}: an answer has {', '.join(answer)}, and is {answer.get('is')}")
    return found


def deviations(chapter, only=None, *, short=False, tell=lambda text: None):
    """Run a chapter with all its answers -> list of what was judged otherwise; the chapter's own errors too."""
    given, found = corpus(chapter), []

    def judge(name, source, names):
        exercise = name.removesuffix("-check")
        if not is_check(name) or only not in (None, exercise):
            return False
        stub = {"is": "stub", "about": "as the reader finds it", "code": ""}
        for number, answer in enumerate([stub, *given.get(exercise, [])]):
            feedback = outcome(answer["code"], source, names, f"<{exercise}, answer {number}>")
            tell(f"--- {exercise}, answer {number} ({answer['is']}: {answer['about']})\n{feedback!r}\n")
            if complaint := wrong(answer, feedback):
                found.append(
                    f"{exercise}, answer {number} ({answer['is']}: {answer['about']}) {complaint}: {feedback!r}"
                )
        return only is not None

    report = chapters.run(notebook(chapter), short=short, limit=LIMIT, then=judge)
    return chapters.failures(report) + found


def outcome(code, source, names, file):
    """What a checking cell says of an answer: code, source of the cell, names of the chapter -> Result or Exception."""
    names = dict(names)
    dice = [value for value in names.values() if isinstance(value, torch.Generator)]
    states = [generator.get_state() for generator in dice]
    linecache.cache[file] = len(code), None, code.splitlines(keepends=True), file  # so that a traceback has lines
    *before, last = ast.parse(source).body  # ends in `exercise.check(...)`
    try:
        with torch.random.fork_rng(devices=[]):
            exec(compile(code, file, "exec"), names)
            exec(compile(ast.Module(before, []), "<check>", "exec"), names)
            return eval(compile(ast.Expression(last.value), "<check>", "eval"), names)
    except Exception as error:  # no check may raise: it is told
        return error
    finally:
        for generator, state in zip(dice, states):
            generator.set_state(state)


def wrong(answer, feedback):
    """What is wrong with the feedback to an answer -> str, empty if it is as it should be."""
    if isinstance(feedback, Exception):
        return "raises"
    stub = "Not written yet" in feedback.summary
    if answer["is"] == "stub" or stub:
        return "" if answer["is"] == "stub" and stub else f"is taken for {'a stub' if stub else 'an answer'}"
    if feedback.passed is not (answer["is"] == "right"):
        return "passes" if feedback.passed else "fails"
    return "" if answer.get("says", "") in repr(feedback) else f"does not hear {answer['says']!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapter", help="a name such as made")
    parser.add_argument("exercise", nargs="?", help="one exercise, such as ex3")
    parser.add_argument("--short", action="store_true", help="cut trainings short")
    arguments = parser.parse_args()
    output = sys.stdout
    with chapters.aside():
        told = (lambda text: print(text, file=output)) if arguments.exercise else (lambda text: None)
        found = deviations(arguments.chapter, arguments.exercise, short=arguments.short, tell=told)
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()

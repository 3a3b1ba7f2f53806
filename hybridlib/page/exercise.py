"""Feedback on exercises: which property holds, which does not, and why. Used by the exercises of every chapter.

A property is a function of the reader's answer that asserts something; its name, with spaces for underscores, is what
the reader sees. An answer that is not written yet fails no cell: the book executes with its stubs.
"""

import contextlib
import dis
import functools
import html
import inspect
import itertools
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType

import torch

PASSED, FAILED, STUB = "passed", "failed", "not written yet"
LOOKS = {PASSED: ("[x]", "✓", "#0f9d76"), FAILED: ("[!]", "✕", "#d1660a"), STUB: ("[ ]", "○", "#80868b")}
MOST_SAID = 1000  # characters of an exception that a page shows


@dataclass(frozen=True)
class Result:
    """Outcome of `check`: (property, verdict, message) each; verdicts are "passed", "failed", "not written yet".

    >>> Result((("is even", "failed", "found 3"),))
    0 of 1 properties hold.
    [!] is even: found 3
    """

    outcomes: tuple[tuple[str, str, str], ...]

    @property
    def passed(self) -> bool:
        """True if every property holds."""
        return all(verdict == PASSED for _, verdict, _ in self.outcomes)

    @property
    def summary(self) -> str:
        """One sentence for all properties."""
        verdicts = [verdict for _, verdict, _ in self.outcomes]
        if STUB in verdicts:
            return "Not written yet: replace the ... with your answer and run this cell again."
        if self.passed:
            return f"All {len(verdicts)} properties hold." if len(verdicts) > 1 else "The property holds."
        return f"{verdicts.count(PASSED)} of {len(verdicts)} properties hold."

    def __repr__(self):
        lines = [f"{LOOKS[verdict][0]} {name}" + (said and f": {said}") for name, verdict, said in self.outcomes]
        return "\n".join([self.summary, *lines])

    def _repr_html_(self):
        items = ""
        for name, verdict, said in self.outcomes:
            _, mark, colour = LOOKS[verdict]
            said = said and f'<br><span style="white-space: pre-wrap">{html.escape(said)}</span>'
            items += (
                f'<li style="border-left: 4px solid {colour}; margin: .3rem 0; padding: .1rem .7rem"><b>{mark}</b> '
                f'{html.escape(name)} <span style="font-size: .85em">({verdict})</span>{said}</li>'
            )
        return (
            f'<div role="status"><p style="margin: 0 0 .4rem"><b>{html.escape(self.summary)}</b></p>'
            f'<ul style="list-style: none; margin: 0; padding: 0">{items}</ul></div>'
        )


def check(candidate: object, properties: Sequence[Callable]) -> Result:
    """Run each property on the reader's answer, a function or a value. Never raises for it.

    A stub (the answer is None or `...`, returns `...`, does nothing at all, or raises NotImplementedError) counts as
    not written yet; a function that does something and returns nothing fails. Any exception in the reader's code,
    `sys.exit` too, fails the property and is shown with the reader's own line. Functions, also those in a tuple and
    those that a function returns, are watched through a function of the same name and attributes; modules and other
    objects come to the properties as they are. `ValueError` for an empty list.

    >>> def doubles(f):
    ...     same(f(2), 4)
    >>> check(lambda x: x + 1, [doubles])
    0 of 1 properties hold.
    [!] doubles: found 3, expected 4
    """
    if not properties:
        raise ValueError("check needs at least one property to look at")
    return Result(tuple((prop.__name__.replace("_", " "), *_outcome(candidate, prop)) for prop in properties))


def same(found: object, expected: object, *, tolerance: float = 1e-5) -> None:
    """Assert that two tensors (of any devices), arrays or numbers agree; the message shows found and expected.

    >>> same(torch.tensor([0.1 + 0.2]), [0.3])
    """
    a, b = (torch.as_tensor(value).detach().cpu().double() for value in (found, expected))
    if a.shape != b.shape:
        raise AssertionError(f"found shape {tuple(a.shape)}, expected {tuple(b.shape)}")
    if torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
        return
    if a.numel() <= 64:
        raise AssertionError(f"found {_words(a)}, expected {_words(b)}")
    place = (a - b).abs().argmax()  # NaN counts as the largest
    where = [int(i) for i in torch.unravel_index(place, a.shape)]
    raise AssertionError(f"at {where} found {_words(a.flatten()[place])}, expected {_words(b.flatten()[place])}")


def _words(tensor):
    """A small tensor as people write it: numbers without needless digits."""
    return f"{tensor.item():.6g}" if tensor.ndim == 0 else "[" + ", ".join(map(_words, tensor)) + "]"


def sizes(low: int, high: int, n: int = 1, *, seed: int = 0) -> list[int]:
    """n whole numbers from low to high, both included: sizes for a property. The grader draws them with another seed.

    >>> sizes(2, 9, 3)
    [6, 9, 7]
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, (n,), generator=generator).tolist()


def ingredients(answer: Callable | tuple) -> set[str]:
    """What an answer is made of: the names that it uses, dotted ones too, and "for" and "while" where it loops.

    So a rule of an exercise becomes a property. Comprehensions count as "for", `yield from` as "while". Functions
    inside are looked into, and those beside it in its cell that it calls; of a class and of a model, all methods.

    >>> sorted(ingredients(lambda rows: [torch.nn.functional.relu(row) for row in rows]))
    ['for', 'functional', 'nn', 'relu', 'torch', 'torch.nn', 'torch.nn.functional', 'torch.nn.functional.relu']
    """
    found = set()
    for code in _codes(answer):
        chain, heads = "", set()  # the dotted name so far; where loops over something begin
        for step in dis.get_instructions(code):
            if step.opname == "FOR_ITER":
                found.add("for")
                heads.add(step.offset)
            elif "JUMP" in step.opname and step.argval <= step.offset and step.argval not in heads:
                found.add("while")
            goes_on = chain and step.opname in ("LOAD_ATTR", "LOAD_METHOD")
            chain = "" if step.opcode not in dis.hasname else f"{chain}.{step.argval}" if goes_on else step.argval
            found |= {chain, step.argval} if chain else set()
    return found


def _outcome(candidate, prop):
    """Verdict and message of one property: (callable or value, function) -> (str, str)."""
    try:
        with _watched(candidate) as answer:
            return (FAILED, "does not hold") if prop(answer) is False else (PASSED, "")
    except NotImplementedError:
        return STUB, ""
    except (Exception, SystemExit) as error:  # what the reader's code does wrong is the message
        said, last = str(error)[:MOST_SAID], _line(error, candidate, prop)
        if "ellipsis" in said and not isinstance(error, IndexError):  # `...` inside a formula
            return STUB, ""
        if isinstance(error, AssertionError):
            return FAILED, said or f"does not hold: {last.line}"
        return FAILED, f"{type(error).__name__}: {said}\nin line {last.lineno} of {last.name}: {last.line}"


def _line(error, *owners):
    """Where an exception came from: the last line of the first owner in its traceback, not one deep inside PyTorch."""
    frames = traceback.extract_tb(error.__traceback__)
    for owner in owners:
        files = {code.co_filename for code in _codes(owner)}
        if own := [frame for frame in frames if frame.filename in files]:
            return own[-1]
    return frames[-1]


@contextlib.contextmanager
def _watched(candidate):
    """The answer itself; what a function or a module returns is looked at, to tell a stub from a wrong answer."""

    def look(value, function):
        if value is None and not _does_nothing(function):
            raise AssertionError("returned nothing: is a `return` missing?")
        return value if type(value) is tuple else watch(value)  # what a builder built is watched too

    def watch(answer):
        if answer is None or answer is ...:
            raise NotImplementedError  # as a stub may do by itself
        if type(answer) is tuple:
            return tuple(map(watch, answer))
        if not inspect.isroutine(answer) and not isinstance(answer, functools.partial):
            return answer
        return functools.wraps(answer)(lambda *args, **kwargs: look(answer(*args, **kwargs), answer))

    if isinstance(candidate, torch.nn.Module):
        with candidate.register_forward_hook(lambda module, args, value: look(value, module.forward)):
            yield candidate  # the hook is removed at the end
    else:
        yield watch(candidate)


def _does_nothing(function):
    """Is a function that returned None a stub: an empty body, or one with `name = ...`?"""
    steps = [step for made in _functions(function) for step in dis.get_instructions(made)]
    if any(a.argval is ... and b.opname.startswith("STORE") for a, b in itertools.pairwise(steps)):
        return True
    idle = {"RESUME", "NOP", "MAKE_CELL", "COPY_FREE_VARS", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
    return not inspect.isbuiltin(function) and all(step.opname in idle for step in steps)


def _functions(answer):
    """The functions that an answer consists of -> list: one, those of a tuple, the methods of a class or a model."""
    if type(answer) is tuple:
        return [function for part in answer for function in _functions(part)]
    if isinstance(answer, functools.partial):
        return _functions(answer.func)
    answer = inspect.unwrap(getattr(answer, "__func__", answer))  # of a method; of what a decorator wrapped
    if isinstance(answer, FunctionType) or not callable(answer):
        return [answer] if callable(answer) else []
    methods = vars(answer if isinstance(answer, type) else type(answer)).values()
    return [method for method in map(inspect.unwrap, methods) if isinstance(method, FunctionType)]


def _codes(answer):
    """The code of an answer, of functions inside it, and of those that it uses from its own cell -> list."""
    codes, functions = [], _functions(answer)
    for function in functions:  # which grows
        inside = [function.__code__]
        for code in inside:
            inside += [const for const in code.co_consts if isinstance(const, CodeType)]
            used = [function.__globals__.get(name) for name in code.co_names]
            beside = [other for thing in used if isinstance(thing, FunctionType | type) for other in _functions(thing)]
            functions += [
                other for other in beside if other.__code__.co_filename == code.co_filename and other not in functions
            ]
        codes += inside
    return codes

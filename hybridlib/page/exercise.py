"""Feedback on exercises: which property holds, which does not, and why. Used by the exercises of every chapter.

A property is a function of the reader's answer that asserts something; its name, with spaces for underscores, is what
the reader sees. An answer that is not written yet fails no cell: the book executes with its stubs.
"""

import contextlib
import functools
import html
import inspect
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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

    A stub (the answer is, or returns, `...` or None, or raises NotImplementedError) counts as not written yet. Any
    exception in the reader's code, `sys.exit` too, fails the property and is shown with its line. Functions are watched
    through a function of the same name and attributes; modules and other objects come to the properties as they are.
    `ValueError` for an empty list.

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


def _outcome(candidate, prop):
    """Verdict and message of one property: (callable or value, function) -> (str, str)."""
    try:
        with _watched(candidate) as answer:
            return (FAILED, "does not hold") if prop(answer) is False else (PASSED, "")
    except NotImplementedError:
        return STUB, ""
    except (Exception, SystemExit) as error:  # what the reader's code does wrong is the message
        said, last = str(error)[:MOST_SAID], traceback.extract_tb(error.__traceback__)[-1]
        if "ellipsis" in said:  # `...` inside a formula
            return STUB, ""
        if isinstance(error, AssertionError):
            return FAILED, said or f"does not hold: {last.line}"
        return FAILED, f"{type(error).__name__}: {said}\nin line {last.lineno} of {last.name}: {last.line}"


@contextlib.contextmanager
def _watched(candidate):
    """The answer itself; what a function or a module returns is looked at, to tell a stub from a wrong answer."""

    def look(value):
        if value is None or value is ...:
            raise NotImplementedError  # as a stub may do by itself
        return value

    look(candidate)
    if isinstance(candidate, torch.nn.Module):
        with candidate.register_forward_hook(lambda module, args, value: look(value)):  # removed at the end
            yield candidate
    elif inspect.isroutine(candidate) or isinstance(candidate, functools.partial):
        yield functools.wraps(candidate)(lambda *args, **kwargs: look(candidate(*args, **kwargs)))
    else:
        yield candidate

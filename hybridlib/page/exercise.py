"""Feedback on exercises: which property holds, which does not, and why. Used by the exercises of every chapter.

A property is a function of the reader's answer that asserts something; its name, with spaces for underscores, is what
the reader sees. An answer that is not written yet fails no cell: the book executes with its stubs.
"""

import contextlib
import functools
import html
import inspect
import traceback
from dataclasses import dataclass

import torch


class NotWrittenError(Exception):
    """The reader's function is still a stub."""


@dataclass(frozen=True)
class Result:
    """Outcome of `check`: (property, verdict, message) each; verdicts are "passed", "failed", "not written yet"."""

    outcomes: tuple

    @property
    def passed(self):
        """True if every property holds."""
        return all(verdict == "passed" for _, verdict, _ in self.outcomes)

    @property
    def summary(self):
        """One sentence for all properties."""
        verdicts = [verdict for _, verdict, _ in self.outcomes]
        if "not written yet" in verdicts:
            return "Not written yet: replace the ... with your answer and run this cell again."
        if self.passed:
            return f"All {len(verdicts)} properties hold." if len(verdicts) > 1 else "The property holds."
        return f"{verdicts.count('passed')} of {len(verdicts)} properties hold."

    def __repr__(self):
        marks = {"passed": "[x]", "failed": "[!]", "not written yet": "[ ]"}
        lines = [f"{marks[verdict]} {name}" + (message and f": {message}") for name, verdict, message in self.outcomes]
        return "\n".join([self.summary, *lines])

    def _repr_html_(self):
        looks = {"passed": ("✓", "#0f9d76"), "failed": ("✕", "#d1660a"), "not written yet": ("○", "#80868b")}
        items = []
        for name, verdict, message in self.outcomes:
            mark, colour = looks[verdict]
            items.append(
                f'<li style="border-left: 4px solid {colour}; margin: .3rem 0; padding: .1rem .7rem">'
                f'<b>{mark}</b> {html.escape(name)} <span style="font-size: .85em">({verdict})</span>'
                + (f'<br><span style="white-space: pre-wrap">{html.escape(message)}</span>' if message else "")
                + "</li>"
            )
        return (
            f'<div role="status"><p style="margin: 0 0 .4rem"><b>{html.escape(self.summary)}</b></p>'
            f'<ul style="list-style: none; margin: 0; padding: 0">{"".join(items)}</ul></div>'
        )


def check(candidate, properties):
    """Run each property on the reader's answer: (callable or value, list of functions) -> Result. Never raises for it.

    A stub (the answer is, or returns, `...` or None, or raises NotImplementedError) counts as not written yet. Any
    exception in the reader's code, `sys.exit` too, fails the property and is shown with its line. Functions are watched
    through a function of the same name and attributes; modules and other objects come to the properties as they are.
    `ValueError` for an empty list.
    """
    if not properties:
        raise ValueError("check needs at least one property to look at")
    return Result(tuple((name_of(prop), *outcome(candidate, prop)) for prop in properties))


def same(found, expected, *, tolerance=1e-5):
    """Assert that two tensors (of any devices), arrays or numbers agree; the message shows found and expected."""
    a, b = (torch.as_tensor(value).detach().cpu().double() for value in (found, expected))
    if a.shape != b.shape:
        raise AssertionError(f"found shape {tuple(a.shape)}, expected {tuple(b.shape)}")
    if torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
        return
    if a.numel() <= 64:
        raise AssertionError(f"found {words(a)}, expected {words(b)}")
    place = (a - b).abs().argmax()  # NaN counts as the largest
    where = [int(i) for i in torch.unravel_index(place, a.shape)]
    raise AssertionError(f"at {where} found {words(a.flatten()[place])}, expected {words(b.flatten()[place])}")


def words(tensor):
    """A small tensor as people write it: numbers without needless digits."""
    return f"{tensor.item():.6g}" if tensor.ndim == 0 else "[" + ", ".join(map(words, tensor)) + "]"


def name_of(prop):
    return prop.__name__.replace("_", " ")


def outcome(candidate, prop):
    """Verdict and message of one property: (callable or value, function) -> (str, str)."""
    try:
        with watched(candidate) as answer:
            if prop(answer) is False:
                return "failed", "does not hold"
    except (NotWrittenError, NotImplementedError):
        return "not written yet", ""
    except (Exception, SystemExit) as error:  # what the reader's code does wrong is the message
        if "ellipsis" in str(error):  # `...` inside a formula
            return "not written yet", ""
        return "failed", explain(error)
    return "passed", ""


@contextlib.contextmanager
def watched(candidate):
    """The answer itself; what a function or a module returns is looked at, to tell a stub from a wrong answer."""

    def look(value):
        if value is None or value is ...:
            raise NotWrittenError
        return value

    look(candidate)
    if isinstance(candidate, torch.nn.Module):
        hook = candidate.register_forward_hook(lambda module, args, value: look(value))
        try:
            yield candidate
        finally:
            hook.remove()
    elif inspect.isroutine(candidate) or isinstance(candidate, functools.partial):
        yield functools.wraps(candidate)(lambda *args, **kwargs: look(candidate(*args, **kwargs)))
    else:
        yield candidate


MOST = 1000  # characters of an exception that a page shows


def explain(error):
    """What went wrong, in one or two lines: exception -> str."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if isinstance(error, AssertionError):
        return str(error)[:MOST] or f"does not hold: {last.line}"
    return f"{type(error).__name__}: {str(error)[:MOST]}\nin line {last.lineno} of {last.name}: {last.line}"

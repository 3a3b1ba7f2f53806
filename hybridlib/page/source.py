"""Show the library's own source on the page, so that the text can never drift from the code. Used in every chapter."""

import ast
import importlib.metadata
import inspect
import re
import textwrap
from pathlib import Path

from .. import __edition__
from ..extras import optional

with optional(__name__):
    from IPython.display import display


def show(obj: object, *, docstring: bool = True) -> None:
    """Display the source of a function, class, method or module of hybridlib, with a link to the file.

    docstring=False leaves the docstrings out. `ValueError` for an object that has no Python source in hybridlib.

    >>> show(repository, docstring=False)  # a notebook shows it
    {'text/markdown': '[`hybridlib/page/source.py`](https://...
    """
    code, link = listing(obj, docstring=docstring)
    display({"text/markdown": f"{link}\n\n````python\n{code}\n````", "text/plain": code}, raw=True)


def listing(obj: object, *, docstring: bool = True) -> tuple[str, str]:
    """Source text of `obj`, without words to the linter, and a Markdown link to its place. Errors as in `show`.

    >>> listing(listing)[0][:11]
    'def listing'
    """
    obj = obj.fget if isinstance(obj, property) else inspect.unwrap(obj)
    try:
        file = Path(inspect.getsourcefile(obj))
        lines, start = inspect.getsourcelines(obj)
    except (TypeError, OSError) as error:
        raise ValueError(f"{obj!r} has no Python source; pass a function, a class, a method or a module") from error
    root = Path(__file__).parent.parent
    if root not in file.parents:
        raise ValueError(f"{obj!r} comes from {file.name}, not from hybridlib; show() is for the library's own code")
    code = re.sub(r" *# (fmt: skip|noqa\b.*)$", "", textwrap.dedent("".join(lines)).rstrip(), flags=re.MULTILINE)
    place = f"hybridlib/{file.relative_to(root).as_posix()}"
    anchor = "" if inspect.ismodule(obj) else f"#L{start}-L{start + len(lines) - 1}"
    return code if docstring else _bare(code), f"[`{place}`]({repository()}/blob/{__edition__}/{place}{anchor})"


def _bare(code):
    """Drop all docstrings from Python source, keeping every other line as it is: str -> str."""
    lines = code.splitlines()
    for node in ast.walk(ast.parse(code)):
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        if documented and ast.get_docstring(node) is not None:
            text = node.body[0]
            lines[text.lineno - 1 : text.end_lineno] = [None] * (text.end_lineno - text.lineno + 1)
            if len(node.body) == 1:  # something must stay
                lines[text.lineno - 1] = " " * text.col_offset + "..."
    return "\n".join(line for line in lines if line is not None)


def repository() -> str:
    """Address of the project's repository, from the metadata of the installed package.

    >>> repository().startswith("https://github.com/")
    True
    """
    for entry in importlib.metadata.metadata("hybridlib").get_all("Project-URL") or []:
        name, _, address = entry.partition(", ")
        if name == "Repository":
            return address.rstrip("/")
    raise ValueError("the installed hybridlib names no Repository among its project addresses; install it again")

"""Optional packages: which extra of hybridlib brings each, told at the import or the call that misses one."""

from collections.abc import Iterator
from contextlib import contextmanager

# name in `import` -> (name in `pip install`, extra of pyproject.toml); a test compares it with pyproject.toml
EXTRAS = {
    "sklearn": ("scikit-learn", "pictures"),
    "mlxtend": ("mlxtend", "pictures"),
    "rdkit": ("rdkit", "molecules"),
    "networkx": ("networkx", "molecules"),
    "chemicals": ("chemicals", "molecules"),
    "fcd_torch": ("fcd_torch", "fcd"),
    "matplotlib": ("matplotlib", "figures"),
    "IPython": ("ipython", "figures"),
    "anywidget": ("anywidget", "figures"),
    "traitlets": ("traitlets", "figures"),
}


def not_installed(package: str, needed_by: str) -> ModuleNotFoundError:
    """The error to raise, which says what to install; `needed_by` is the room or the call, as a reader writes it.

    >>> raise not_installed("rdkit", "hybridlib.molecules")
    Traceback (most recent call last):
    ModuleNotFoundError: hybridlib.molecules needs ... installed: pip install 'hybridlib[molecules]'
    """
    name, extra = EXTRAS[package]
    remedy = f"pip install 'hybridlib[{extra}]'"
    return ModuleNotFoundError(f"{needed_by} needs the package {name}, which is not installed: {remedy}", name=package)


@contextmanager
def optional(needed_by: str) -> Iterator[None]:
    """Around the import of optional packages: `ModuleNotFoundError` with the extra to install if one is missing.

    `ImportError` with the packages of Debian for a library of the system that RDKit does not find.

    >>> with optional("this example"):
    ...     import json
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:  # a package that is there, and lacks one of its own needs
            raise
        raise not_installed(error.name, needed_by) from None
    except ImportError as error:
        if "shared object" not in str(error):  # a wheel that is there, and finds no library of the system
            raise
        remedy = "RDKit draws with libXrender and libXext; on Debian and Ubuntu: apt-get install libxrender1 libxext6"
        raise ImportError(f"{needed_by} needs a library of the system: {error}. {remedy}") from None

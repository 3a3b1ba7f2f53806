"""A package that is missing is named with the extra that brings it; every other error passes as it is."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hybridlib.extras import EXTRAS, not_installed, optional

ROOT = Path(__file__).resolve().parent.parent


def test_the_extras_are_those_of_pyproject():
    specified = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for package, extra in EXTRAS.values():
        names = {Requirement(line).name for line in specified["optional-dependencies"][extra]}
        assert package in names, f"{package} is not in the extra {extra}"


@pytest.mark.parametrize("name", EXTRAS)
def test_a_missing_package_is_named_with_its_extra(name):
    package, extra = EXTRAS[name]
    with pytest.raises(ModuleNotFoundError) as caught, optional("this room"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    assert str(caught.value) == str(not_installed(name, "this room"))
    assert "this room" in str(caught.value) and package in str(caught.value)
    assert str(caught.value).endswith(f"pip install 'hybridlib[{extra}]'") and caught.value.name == name


def test_what_an_extra_lacks_itself_is_its_own_affair():
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'some_need_of_rdkit'$"), optional("this room"):
        raise ModuleNotFoundError("No module named 'some_need_of_rdkit'", name="some_need_of_rdkit")
    with pytest.raises(ValueError, match="no import"), optional("this room"):
        raise ValueError("no import")


def test_a_library_that_the_system_lacks_is_named_with_the_remedy():
    told = r"viz\.formulas needs .*libXrender\.so\.1.*apt-get install libxrender1"
    with pytest.raises(ImportError, match=told), optional("viz.formulas"):
        raise ImportError("libXrender.so.1: cannot open shared object file: No such file or directory")
    with pytest.raises(ImportError, match="broken"), optional("viz.formulas"):
        raise ImportError("broken")

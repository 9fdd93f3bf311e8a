"""The package's face: what it exports, and that each name explains itself."""

import importlib
import inspect
import pkgutil
import textwrap
from types import ModuleType
from typing import Any

import pytest
from sites import site

import asgi_auth

NAMES = list(asgi_auth.__all__)


MODULES = [importlib.import_module(found.name) for found in pkgutil.walk_packages(asgi_auth.__path__, "asgi_auth.")]


def kind(name: str) -> int:
    """Constants, then classes, then functions."""
    return 0 if name.isupper() else 1 if name[0].isupper() else 2


def test_the_public_names_are_sorted_and_each_is_there() -> None:
    assert sorted(NAMES, key=lambda name: (kind(name), name)) == NAMES
    assert all(hasattr(asgi_auth, name) for name in NAMES)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_whatever_a_module_exports_has_a_docstring(module: ModuleType) -> None:
    assert module.__doc__, "a module says what it is for"
    for name in getattr(module, "__all__", []):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{module.__name__}.{name} has no docstring"


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isclass(getattr(asgi_auth, name))])
def test_the_methods_of_a_public_class_have_docstrings(name: str) -> None:
    for member, value in vars(getattr(asgi_auth, name)).items():
        if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{member} has no docstring"


def test_the_example_in_the_docstring_runs() -> None:
    example = inspect.cleandoc(asgi_auth.__doc__ or "").split("::\n")[1].split("\n\nEverything else")[0]
    program = inspect.cleandoc(example).replace('load_or_generate("signing-keys.json")', 'generate("ES256")')
    names = {name: getattr(asgi_auth, name) for name in NAMES} | {"api": object()}

    exec(program, names)

    assert isinstance(names["app"], asgi_auth.AuthStack)


async def test_the_example_of_an_api_key_in_the_docstring_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = inspect.cleandoc(asgi_auth.__doc__ or "").split("``X-API-Key``::\n")[1]
    async with site() as visit:
        names: dict[str, Any] = {"auth": visit.auth, "subject": await visit.register()}
        exec(f"async def run():\n{textwrap.indent(inspect.cleandoc(example), '    ')}", names)
        await names["run"]()
        answer = await visit.client.get("/private", headers={"X-API-Key": capsys.readouterr().out.strip()})

    assert answer.json()["scopes"] == ["read:articles"]

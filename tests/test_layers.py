"""Imports point one way: stack, routes, middleware → services → features, wire → primitives → values."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import asgi_auth

PACKAGE = Path(asgi_auth.__file__).parent
VALUES = {"principal", "errors", "clock"}
PRIMITIVES = {
    "common_passwords",
    "devices",
    "emails",
    "hashing_pool",
    "issuer",
    "jwt",
    "key_checks",
    "key_files",
    "keys",
    "passwords",
    "patterns",
    "session_data",
    "shielded",
    "strict_json",
    "tokens",
}
FEATURES = {
    "access_tokens",
    "account_store",
    "accounts",
    "api_keys",
    "authorization",
    "feed_cache",
    "last_used",
    "live",
    "lockout",
    "lockout_store",
    "maintenance",
    "one_time",
    "present_accounts",
    "rate_limit",
    "rate_limit_storage",
    "refresh_tokens",
    "revocations",
    "session_store",
    "sessions",
    "unknown_tokens",
}
MAY_IMPORT = {
    "values": {"values"},
    "primitives": {"values", "primitives"},
    "features": {"values", "primitives", "features"},
    "wire": {"values", "primitives", "wire"},
    "stores": {"values", "primitives", "features", "stores"},
    "services": {"values", "primitives", "features"},
    "middleware": {"values", "primitives", "features", "wire", "middleware"},
    "routes": {"values", "primitives", "features", "wire", "middleware", "services", "routes"},
    "stack": {"values", "primitives", "features", "wire", "middleware", "services", "routes"},
    "testing": {"values", "primitives", "features", "testing"},
    "__init__": {"values", "primitives", "features", "services", "wire", "middleware", "stack", "stores"},
}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def layer(module: str) -> str:
    if module in VALUES:
        return "values"
    if module in PRIMITIVES:
        return "primitives"
    return "features" if module in FEATURES else module


def imported(path: Path) -> Iterator[str]:
    """The first name below the package of everything of ours that a module imports, wherever it does."""
    package = ("asgi_auth", *path.parts[:-1])
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = ".".join((*base, *([node.module] if node.module else [])))
            names = [f"{prefix}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("asgi_auth."))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_from_its_own_layer_and_below(path: Path) -> None:
    own = layer(path.parts[0].removesuffix(".py"))

    assert own in MAY_IMPORT, "a new module has a place in one of the layers"
    assert {layer(name) for name in imported(path)} <= MAY_IMPORT[own]


def test_features_never_import_stores_and_wire_never_imports_a_feature() -> None:
    for path in MODULES:
        own = layer(path.parts[0].removesuffix(".py"))
        below = {layer(name) for name in imported(path)}
        assert not (own in {"features", "services"} and "stores" in below)
        assert not (own == "wire" and below & {"features", "services"})


def test_features_import_each_other_without_a_circle() -> None:
    edges = {name: {*imported(Path(f"{name}.py"))} & FEATURES for name in FEATURES}
    while edges:
        leaves = {name for name, below in edges.items() if not below & edges.keys()}
        assert leaves, f"a circle among {sorted(edges)}"
        edges = {name: below for name, below in edges.items() if name not in leaves}


def test_importing_the_package_starts_nothing_and_leaves_tools_and_frameworks_alone() -> None:
    program = (
        "import sys, threading; import asgi_auth;"
        "print(threading.active_count(), *sorted({'fastapi', 'litestar', 'quart', 'uvicorn', 'httpx', 'passlib'}"
        " & sys.modules.keys()))"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert printed == "1\n"

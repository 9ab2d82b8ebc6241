"""Every public op says where it comes from."""

import importlib
import inspect
import pkgutil

import pytest

import coadapt.ops


def public_functions():
    for info in pkgutil.iter_modules(coadapt.ops.__path__):
        module = importlib.import_module(f"coadapt.ops.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield pytest.param(function, id=f"{info.name}.{name}")


@pytest.mark.parametrize("function", list(public_functions()))
def test_op_cites_its_source(function):
    assert function.__doc__ is not None
    assert "Source:" in function.__doc__

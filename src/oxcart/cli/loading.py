"""How does MODULE:APP become an app? By import, from the working directory or PYTHONPATH."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
import traceback
from pathlib import Path
from types import ModuleType

from oxcart.app import Oxcart
from oxcart.cli.exits import Refused
from oxcart.language import tr


class AppFailed(Exception):  # noqa: N818
    """The module raised when it was imported. `report` is the traceback of the program's own code."""

    def __init__(self, sentence: str, report: str) -> None:
        self.report = report
        super().__init__(sentence)


def load_app(name: str) -> Oxcart:
    """Raises Refused for a name that leads nowhere, AppFailed for a module that cannot be imported."""
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise Refused(tr('"{name}" names no app. {form}', name=name, form=_form()))
    if not all(part.isidentifier() for part in module_name.split(".")):
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise Refused(
            tr(
                '"{module_name}" is no name of a module. Did you mean {dotted}:{attribute}?',
                module_name=module_name,
                dotted=dotted,
                attribute=attribute,
            )
        )
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _import(module_name, attribute)
    if not hasattr(module, attribute):
        raise Refused(_no_attribute(module, attribute))
    app = getattr(module, attribute)
    if not isinstance(app, Oxcart):
        raise Refused(
            tr(
                "{name} is a {kind}, not an app. It must be an Oxcart(), declared in that module.",
                name=name,
                kind=type(app).__name__,
            )
        )
    return app


def _form() -> str:
    return tr("Write it as module:app, as in `oxcart run jobs:app` for the variable app of jobs.py.")


def _import(module_name: str, attribute: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise Refused(_no_module(module_name, attribute)) from error
        raise _failed(module_name, error) from error
    except (Exception, SystemExit) as error:  # the border around a program's own code
        raise _failed(module_name, error) from error


def _failed(module_name: str, error: BaseException) -> AppFailed:
    what = f"{type(error).__name__}: {error}".strip().rstrip(":.")
    return AppFailed(
        tr("Importing {module_name} failed ({what}). Mend it as shown above.", module_name=module_name, what=what),
        _own_traceback(error),
    )


def _own_traceback(error: BaseException) -> str:
    """Without our frames and the import system's: the first line shown is the program's."""
    shown = traceback.TracebackException.from_exception(error)
    ours = ("<frozen importlib", importlib.__file__, __file__)
    frames = [frame for frame in shown.stack if not frame.filename.startswith(ours)]
    shown.stack = traceback.StackSummary.from_list(frames)
    shown.__cause__ = shown.__context__ = None
    return "".join(shown.format()).rstrip()


def _no_module(module_name: str, attribute: str) -> str:
    here = sorted(module.name for module in pkgutil.iter_modules([str(Path.cwd())]))
    guesses = difflib.get_close_matches(module_name, here, n=1)
    guess = tr(" Did you mean {module}:{attribute}?", module=guesses[0], attribute=attribute) if guesses else ""
    return tr(
        "There is no module {module_name} in {path} or on PYTHONPATH.{guess}",
        module_name=module_name,
        path=Path.cwd(),
        guess=guess or f" {_form()}",
    )


def _no_attribute(module: ModuleType, attribute: str) -> str:
    apps = [name for name, value in vars(module).items() if isinstance(value, Oxcart)]
    said = tr("Module {name} has no variable {attribute}.", name=module.__name__, attribute=attribute)
    if apps:
        return tr(
            "{said} Did you mean {apps}?", said=said, apps=" or ".join(f"{module.__name__}:{name}" for name in apps)
        )
    return tr("{said} Declare it there: {attribute} = Oxcart().", said=said, attribute=attribute)

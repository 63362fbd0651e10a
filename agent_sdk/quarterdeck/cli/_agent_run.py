"""What `quarterdeck agent run` does."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from types import ModuleType

from quarterdeck._agent import Agent
from quarterdeck._text import sanitize
from quarterdeck.cli._exit import CommandError, ExitCode
from quarterdeck.cli._options import Settings


def run(settings: Settings, target: str) -> None:
    """Serves an agent until it is told to stop.

    Raises:
        CommandError: the agent cannot be served, or the server will never accept it.
    """
    from quarterdeck import ApiError, DefinitionError, serve
    from quarterdeck.cli._call import CallError

    agent = load(target)
    if sys.stderr.isatty():
        # For the person who started it; under a pool or a unit only what is wrong is said.
        logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        serve(agent, settings.server, namespace=settings.namespace)
    except DefinitionError as error:
        raise CommandError(sanitize(str(error)), ExitCode.USAGE) from error
    except ApiError as error:
        raise CallError(error) from error


def load(target: str) -> Agent:
    """The agent that `module:name` names; the working directory is on the path, as for `python -m`.

    Raises:
        CommandError: there is no such module or agent, or the module raises.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        guess = module_name.removesuffix(".py").replace("/", ".") or "my_package.agents"
        raise CommandError(
            f"expected MODULE:AGENT such as {sanitize(guess)}:agent, got {target!r}", ExitCode.USAGE
        )
    if "" not in sys.path:
        sys.path.insert(0, "")
    module = _module(module_name)
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Agent):
        agents = sorted(name for name, value in vars(module).items() if isinstance(value, Agent))
        those = f"; there is {' and '.join(agents)}" if agents else ""
        raise CommandError(f"{target} is no quarterdeck.Agent{those}", ExitCode.USAGE)
    return found


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise CommandError(f"there is no module {error.name}", ExitCode.USAGE) from error
        raise _broken(name, error) from error
    except Exception as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> CommandError:
    """With the trace from where the module begins; what led there is no business of its author."""
    frames = traceback.extract_tb(error.__traceback__)
    while frames and (frames[0].filename == __file__ or "importlib" in frames[0].filename):
        del frames[0]
    shown = "".join((*traceback.format_list(frames), *traceback.format_exception_only(error)))
    text = sanitize(f"the module {name} cannot be imported\n{shown}", limit=100_000, multiline=True)
    return CommandError(text.rstrip(), ExitCode.USAGE)

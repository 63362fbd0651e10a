"""What `quarterdeck agent run` does."""

from __future__ import annotations

import importlib
import logging
import sys

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
        CommandError: there is no such module or agent. What the module raises passes through.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise CommandError(f"expected MODULE:AGENT, got {target!r}", ExitCode.USAGE)
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise CommandError(f"there is no module {error.name}", ExitCode.USAGE) from error
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, Agent):
        raise CommandError(f"{target} is no quarterdeck.Agent", ExitCode.USAGE)
    return found

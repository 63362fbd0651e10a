"""`quarterdeck freeze`."""

from __future__ import annotations

import click

from quarterdeck.cli._help import example
from quarterdeck.cli._options import Settings, Why, audit_options, common_options


@click.command(epilog=example("freeze --reason 'the provider bills us twice'"))
@audit_options
@common_options
def freeze(settings: Settings, why: Why) -> None:
    """Stop all claiming in the namespace at once; what runs goes on."""
    from quarterdeck.cli import _holds

    _holds.freeze(settings, why)

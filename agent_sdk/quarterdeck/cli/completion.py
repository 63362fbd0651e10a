"""`quarterdeck completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from quarterdeck.cli._help import example


@click.command(epilog=example("completion fish | source"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    For bash, add to ~/.bashrc:  eval "$(quarterdeck completion bash)"
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    root = ctx.find_root().command
    click.echo(found(root, {}, "quarterdeck", "_QUARTERDECK_COMPLETE").source())

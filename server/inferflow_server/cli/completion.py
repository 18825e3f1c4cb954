"""`inferflow completion bash|zsh|fish`."""

import click
from click.shell_completion import get_completion_class

from inferflow_server.cli.options import debug_option

VARIABLE = "_INFERFLOW_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@debug_option
def command(shell: str) -> None:
    """Print the script that completes commands, options and models in SHELL.

    \b
    Example:
        inferflow completion bash > inferflow.bash

    \b
    Where shells look for it:
        eval "$(inferflow completion bash)"                 # in ~/.bashrc
        eval "$(inferflow completion zsh)"                  # in ~/.zshrc
        inferflow completion fish > ~/.config/fish/completions/inferflow.fish
    """
    completion = get_completion_class(shell)
    assert completion is not None
    root = click.get_current_context().find_root()
    click.echo(completion(root.command, {}, "inferflow", VARIABLE).source())

"""How every command ends: in what it says, or in one line that says why not, and with an exit code."""

from __future__ import annotations

import traceback
from typing import Any

import click

from scripts import console, interruption
from scripts.errors import KitError

FAULT_OF_THE_KIT = 70


class Commands(console.InOrder):
    """Ends every failure that a user can cause in one line, with the exit code that its kind has."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KitError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            interruption.tell()
            ctx.exit(interruption.EXIT_CODE)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as fault:
            # The kit's, not its user's. Python would end with 1, which here means "the answer is no".
            traceback.print_exception(fault)
            ctx.exit(FAULT_OF_THE_KIT)

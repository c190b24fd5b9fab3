"""edgert's command line: the table of commands, and the one place that turns errors into exit codes.

Exit codes: 0 done; 1 the check or comparison failed; 2 wrong use or bad input, with one line on stderr that says what
and how to mend it; 70 a fault of edgert's own. --debug, anywhere on the line, shows the traceback.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

import click

from edgert import __version__, without_toolchain
from edgert.cli._shared import CheckFailedError
from edgert.errors import EdgertError

# Name: (module, what it does). A module is imported when its command runs; its command is called `command`.
COMMANDS: dict[str, tuple[str, str]] = {
    "quickstart": ("edgert.cli.quickstart", "Try edgert on a small model and data of its own."),
    "convert": ("edgert.cli.convert", "Convert a trained model into an .ert package."),
    "run": ("edgert.cli.run", "Run a model on images, sound or arrays."),
    "bench": ("edgert.cli.bench", "Measure a model's speed, alone or against other engines."),
    "targets": ("edgert.cli.targets", "List the devices that convert packs weights for and push may ask for."),
    "ops": ("edgert.cli.ops", "List the operators that each format's importer knows, and their kernels."),
    "inspect": ("edgert.cli.inspect", "Show what a model holds."),
    "diff": ("edgert.cli.diff", "Compare the outputs of two models."),
    "report": ("edgert.cli.report", "Write a page on what quantisation did to a model."),
    "evaluate": ("edgert.cli.evaluate", "Measure how good a model is on data, with confidence intervals."),
    "push": ("edgert.cli.push", "Push a package to devices: signed, resumable, with a way back."),
    "devices": ("edgert.cli.devices", "List what could be pushed to from here."),
    "device": ("edgert.cli.device", "Ask a device what it has; activate, confirm or roll back a model there."),
    "agent": ("edgert.cli.agent", "Receive models on a device: the other side of push."),
    "keys": ("edgert.cli.keys", "Make, show and trust the keys that sign what is pushed."),
}

DONE, FAILED, BAD_INPUT, FAULT = 0, 1, 2, 70


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_module, text) in COMMANDS.items()])


@click.command(cls=_Commands, epilog="--debug shows the traceback of an error.")
@click.version_option(__version__, prog_name="edgert")
@click.option(
    "--custom", multiple=True, metavar="MODULE",
    help="Import a Python module that brings operators of its own (edgert.add_custom_op). May be repeated.",
)  # fmt: skip
def cli(custom: tuple[str, ...]) -> None:
    """Converts, measures and runs int8 models for phones and small Linux boards."""
    if custom:
        from edgert.custom import ENVIRONMENT, custom_ops

        given = os.environ.get(ENVIRONMENT)
        os.environ[ENVIRONMENT] = ",".join([given, *custom] if given else custom)  # the commands' own processes too
        custom_ops()


def main(argv: Sequence[str] | None = None) -> None:
    """The entry point: runs a command and leaves the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not when it is closed
            stream.reconfigure(errors="backslashreplace")  # labels and file names that the locale cannot show
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Runs a command and returns the exit code; errors become one line on stderr."""
    debug = "--debug" in argv
    words = [word for word in argv if word != "--debug"]
    try:
        cli.main(args=words, prog_name="edgert", standalone_mode=False)
    except click.exceptions.Exit as leave:  # --help, --version
        return leave.exit_code
    except click.UsageError as error:
        # Click 8.1 has no such exception: it prints the help itself.
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            click.echo(error.format_message(), err=True)
            return BAD_INPUT
        command = error.ctx.command_path if error.ctx else "edgert"
        return _report(error, f"{error.format_message()} See {command} --help.", BAD_INPUT, debug)
    except click.ClickException as error:
        return _report(error, error.format_message(), BAD_INPUT, debug)
    except CheckFailedError as error:
        return _report(error, str(error), FAILED, debug)
    except EdgertError as error:
        return _report(error, str(error), BAD_INPUT, debug)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _report(error, f"{where}{error.strerror or error}", BAD_INPUT, debug)
    except ModuleNotFoundError as error:
        missing = without_toolchain(error, "this command")
        code = BAD_INPUT if isinstance(missing, EdgertError) else FAULT
        return _report(missing, str(missing), code, debug)
    except (KeyboardInterrupt, click.Abort):
        click.echo("edgert: interrupted", err=True)
        return BAD_INPUT
    except Exception as error:  # the last resort: a person gets a line, and the traceback on request
        text = f"{type(error).__name__}: {error}"
        return _report(error, f"a fault of edgert's own, please report it with --debug: {text}", FAULT, debug)
    return DONE


def _report(error: BaseException, message: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    click.echo(f"edgert: {message}", err=True)
    return code


if __name__ == "__main__":
    main()

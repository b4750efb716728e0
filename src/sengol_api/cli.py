"""The command line."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Column, Table

from sengol_api import __version__
from sengol_api.settings import Settings, SettingsError, load, read_environment, suspects, variables

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Risk and compliance reviews answered from past incidents.",
)
admin = typer.Typer(no_args_is_help=True, help="Who may steer the service: on the host, by whoever can reach the database.")
app.add_typer(admin, name="admin")
out = Console()
err = Console(stderr=True)

DataDir = Annotated[str | None, typer.Option(help="Folder for the embedded database and the development secret.")]


def _fail(message: str, code: int = 2) -> typer.Exit:
    err.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(code)


def _settings(**overrides: str | int | None) -> Settings:
    try:
        settings = load(**overrides)
    except SettingsError as error:
        raise _fail(str(error)) from None
    for name, near in suspects(read_environment()):
        err.print(f"warning: {name} is not a setting; did you mean {near}?", style="yellow", markup=False)
    return settings


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 for any free one.")] = None,
    data_dir: DataDir = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
) -> None:
    """Serve the API; the first start loads the corpus."""
    settings = _settings(host=host, port=port, data_dir=data_dir)
    from sengol_api import server
    from sengol_api.data_dir import StartError, jwt_secret

    try:
        jwt_secret(settings)
        server.run(settings, workers=workers)
    except StartError as error:
        raise _fail(str(error)) from None
    except OSError as error:
        raise _fail(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}. Choose another --port.") from None


@app.command()
def check(data_dir: DataDir = None) -> None:
    """Show the configuration, and whether each dependency answers."""
    settings = _settings(data_dir=data_dir)
    columns: list[Column | str] = [
        Column("setting", no_wrap=True),
        Column("value", overflow="fold"),
        Column("default", overflow="fold"),
        "unit",
    ]
    table = Table(*columns, box=None, pad_edge=False)
    for variable in variables():
        value = getattr(settings, variable.field)
        shown = ("(set)" if value else "(empty)") if variable.secret else str(value) if value != "" else "(empty)"
        default = "(empty)" if variable.default == "" else str(variable.default)
        table.add_row(variable.name, shown, default, variable.unit)
    out.print(table)
    from sengol_api import bootstrap
    from sengol_api.data_dir import StartError

    try:
        answers = asyncio.run(bootstrap.probe(settings))
    except StartError as error:
        raise _fail(str(error)) from None
    out.print()
    for name, (well, text) in answers.items():
        out.print(f"[{'green' if well else 'red'}]{'ok  ' if well else 'DOWN'}[/] {name}: ", end="")
        out.print(text, markup=False, highlight=False, soft_wrap=True)
    if not all(well for well, _ in answers.values()):
        raise typer.Exit(1)


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(help="JSONL, CSV, VERIS JSON or ATLAS YAML files.")],
    kind: Annotated[
        Literal["jsonl", "csv", "veris", "atlas"] | None,
        typer.Option("--format", help="jsonl, csv, veris or atlas; by default by the ending."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add incidents of your own to the corpus. Doing it twice changes nothing."""
    settings = _settings(data_dir=data_dir)
    from sengol_api import bootstrap
    from sengol_api.adapters.corpus.ingestion import IngestError
    from sengol_api.data_dir import StartError
    from sengol_api.observability.progress import progress_bar
    from sengol_api.review.errors import AppError

    try:
        with progress_bar() as bar:
            report = asyncio.run(bootstrap.ingest(settings, files, kind, bar))
    except (StartError, AppError, IngestError) as error:
        raise _fail(str(error)) from None
    for bad in report.bad:
        where = f"{bad.file}:{bad.line}" if bad.line else bad.file
        err.print(f"{where}: {bad.reason}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    out.print(
        f"{report.change.added} added, {report.change.changed} changed, {report.change.unchanged} unchanged, "
        f"{len(report.bad)} left out."
    )
    if report.change.added or report.change.changed:
        out.print("A running server shows them after its next start.")
    if report.bad:
        raise typer.Exit(1)


@admin.command()
def grant(email: Annotated[str, typer.Argument(help="Address of a registered account.")], data_dir: DataDir = None) -> None:
    """Make an account an administrator, from its next request on."""
    _set_role(email, "admin", data_dir)
    out.print(f"{email} is an administrator.", markup=False, highlight=False)


@admin.command()
def revoke(email: Annotated[str, typer.Argument(help="Address of an administrator.")], data_dir: DataDir = None) -> None:
    """Make an administrator an ordinary account, from its next request on."""
    _set_role(email, "user", data_dir)
    out.print(f"{email} is no administrator.", markup=False, highlight=False)


@admin.command("list")
def list_administrators(data_dir: DataDir = None) -> None:
    """Show the administrators."""
    settings = _settings(data_dir=data_dir)
    from sengol_api import administration
    from sengol_api.data_dir import StartError
    from sengol_api.review.errors import AppError

    try:
        found = asyncio.run(administration.administrators(settings))
    except (StartError, AppError) as error:
        raise _fail(str(error)) from None
    for user in found:
        out.print(user.email, markup=False, highlight=False)
    if not found:
        err.print("There is no administrator: «sengol-api admin grant EMAIL» makes one.", markup=False)


def _set_role(email: str, role: Literal["user", "admin"], data_dir: str | None) -> None:
    settings = _settings(data_dir=data_dir)
    from sengol_api import administration
    from sengol_api.data_dir import StartError
    from sengol_api.review.errors import AppError

    try:
        user = asyncio.run(administration.set_role(settings, email, role))
    except (StartError, AppError) as error:
        raise _fail(str(error)) from None
    if user is None:
        raise _fail(f"There is no account of {email}. It must be registered first: POST /api/auth/register.", code=1)


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    import msgspec

    from sengol_api.api.app import openapi as document

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document())).decode() + "\n")


@app.command()
def version() -> None:
    """Print the version."""
    out.print(__version__)


def main() -> None:
    """The entry of ``sengol-api``."""
    app()

"""ocelot doctor."""

import typer

from cluster.commands.options import Json, write_json

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


def doctor(json: Json = None) -> None:
    """Checks this machine: packages, torch, Reverb, Ray, rendering, every simulator. Names what is wrong and its cure.

    Exit status 1 when a check failed; a warning costs only what it names.
    """
    from dataclasses import asdict

    from cluster.doctor.examine import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        mark, colour = MARKS[finding.state]
        typer.echo(f"{typer.style(mark, fg=colour)} {finding.check}: {finding.found}")
        if finding.state != "ok":
            typer.echo(f"    {finding.cure}")
    write_json(json, [asdict(finding) for finding in findings])
    failed = sum(finding.state == "failed" for finding in findings)
    warned = sum(finding.state == "warning" for finding in findings)
    typer.echo(f"{len(findings)} checks, {failed} failed, {warned} with a warning.")
    if failed:
        raise typer.Exit(1)

"""The command line: typer and rich, no logic."""

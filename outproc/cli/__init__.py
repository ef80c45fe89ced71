"""The `litz` command. `outproc.cli.main:main` is its entry; `python -m outproc.cli` is the same."""

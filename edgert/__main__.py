"""python -m edgert is the command edgert."""

from edgert.cli.main import main

main()

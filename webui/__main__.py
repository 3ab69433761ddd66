"""``python -m webui``: the same as the command ``webui``."""

from webui.cli import main

main()

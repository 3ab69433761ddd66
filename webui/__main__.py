"""``python -m webui``, and the command ``webui``."""

import gc


def main() -> None:
    """Load the commands and run one."""
    gc.disable()  # a tenth of a start would be a search for garbage in what is there to stay
    from webui.cli import main as command

    gc.freeze()
    gc.enable()
    command()


if __name__ == "__main__":
    main()

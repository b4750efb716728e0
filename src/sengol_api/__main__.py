"""``python -m sengol_api`` is the ``sengol-api`` command."""

from sengol_api.cli import main

if __name__ == "__main__":
    main()

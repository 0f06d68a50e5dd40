"""``python -m bench`` is ``paretune``."""

from bench.cli import main

if __name__ == "__main__":
    main()

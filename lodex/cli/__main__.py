"""`python -m lodex.cli` is `lodex`."""

from lodex.cli import main

if __name__ == "__main__":
    main()

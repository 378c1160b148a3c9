"""`python -m scripts COMMAND`."""

from scripts import interruption

if __name__ == "__main__":
    with interruption.heeded():
        from scripts.cli import main

        main()

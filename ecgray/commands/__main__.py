"""`python -m ecgray.commands`, where the script `ecgray` is not on the path."""

from ecgray.commands import main

if __name__ == "__main__":
    main()

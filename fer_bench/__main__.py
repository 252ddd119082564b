"""`python -m fer_bench` is `fer-bench`."""

from fer_bench.cli import main

if __name__ == "__main__":
    main()

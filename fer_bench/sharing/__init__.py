"""Results that anybody can check: verified, packed into one file, shown on a board of files."""

"""EIF (Kim, Kim, Song, IEEE Access 2024)."""

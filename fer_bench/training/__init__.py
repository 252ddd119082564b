"""The shared harness: it plays the game that a method describes."""

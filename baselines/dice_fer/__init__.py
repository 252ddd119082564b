"""DICE-FER: three stages of mutual-information estimation."""

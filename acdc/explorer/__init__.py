"""The page that explores a run: one HTML file that needs nothing else. Nothing here imports torch."""

"""Speed and memory, measured side by side in one run. ``make bench`` runs them all; nothing here is a test."""

"""SQLite is the truth: every index can be rebuilt from it."""

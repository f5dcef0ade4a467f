"""Readers of the files that people keep memories in; each yields drafts, and what was wrong with the rest."""

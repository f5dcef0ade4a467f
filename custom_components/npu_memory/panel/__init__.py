"""The panel in the sidebar: memories are looked through, corrected, merged and forgotten there."""

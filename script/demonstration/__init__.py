"""The demonstration: a memory server and a real Home Assistant, set up and asked as a user would."""

"""What an assistant with memory adds to a turn of a real Home Assistant."""

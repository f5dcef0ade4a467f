"""What somebody would have instead of the memory server, asked the same questions in the same run."""

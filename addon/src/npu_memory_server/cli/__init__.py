"""The command line: thin doors to `Memory`, on a running server or on the data directory itself."""

"""The ways to do it: programs that run in environments of their own and import nothing of the server."""

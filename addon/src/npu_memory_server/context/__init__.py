"""What a language model is told of the memories: few, short, quoted, and without secrets."""

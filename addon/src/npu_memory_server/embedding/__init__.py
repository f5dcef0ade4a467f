"""Text to vectors: the model package on disk, its tokenizer, and the embedders that run it."""

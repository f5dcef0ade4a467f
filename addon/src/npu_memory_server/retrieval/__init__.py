"""Finding the memories that matter: a lexical and a dense leg over everything, fused."""

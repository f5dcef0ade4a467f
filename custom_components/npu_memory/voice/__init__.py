"""Memory by voice, without a language model: sentences, what is done about them, and what is said then."""

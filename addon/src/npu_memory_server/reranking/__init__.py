"""Cross-encoders: models that read a question and a memory together, more slowly and with more sense than vectors."""

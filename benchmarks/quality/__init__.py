"""How good the answers are beside those of other ways: on the sample household, and on LoCoMo if there is a copy."""

"""The actions, one module for each thing that is done with memories."""

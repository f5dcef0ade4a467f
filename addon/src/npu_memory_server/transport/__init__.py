"""The doors over the network: Wyoming events in, Wyoming events out."""

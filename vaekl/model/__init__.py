"""The VAE: its ledger, densities, weightings and networks."""

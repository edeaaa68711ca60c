"""Any grid of models, subsets, strategies and seeds from one file: what is shared is made once."""

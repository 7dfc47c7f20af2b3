"""A made-up shop that has every entity of the contract, with the truth about its customers and its dirt."""

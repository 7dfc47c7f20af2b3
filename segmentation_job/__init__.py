"""Customer segmentation warehouse: the command line and what its commands do."""

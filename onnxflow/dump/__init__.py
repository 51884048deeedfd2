"""Results of nodes as files to look at: pictures, plots and numbers."""

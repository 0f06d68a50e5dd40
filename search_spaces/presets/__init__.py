"""Studies as they come with the package."""

"""What others published and can be had by name: the catalogs, the hub, and files that are fetched from elsewhere."""

"""A worker in a pod: commands run in the container of the user's image, started there by the launcher."""

"""The whole way through on a sample marketplace: photos, training, services, one query."""

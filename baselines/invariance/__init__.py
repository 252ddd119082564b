"""Domain-generalisation methods with people as environments."""

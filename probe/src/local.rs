//! What this host knows of its own network: interfaces, routes, resolvers.

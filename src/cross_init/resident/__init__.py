"""One process that watches all daemons of a user's, instead of a watcher for each."""

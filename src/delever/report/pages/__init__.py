"""One page a module, with the tables it holds."""

"""Markets that a study reads, and what is doubtful in them."""

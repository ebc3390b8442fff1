"""Signal studies: what came after the events of a rule, beside what came after others."""

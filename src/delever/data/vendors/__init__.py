"""Files of other programs and vendors, read (`registry` lists them) and written (`export`)."""

"""Steps from one schema to the next; they are applied when the database is opened."""

"""The database: the one truth about runs, stages and answers already given. Only this package imports SQLAlchemy."""

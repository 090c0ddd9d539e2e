"""The controller's database: the only place that knows SQLAlchemy."""

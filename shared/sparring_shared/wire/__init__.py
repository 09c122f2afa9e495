"""Request and response bodies of the four services, one module each."""

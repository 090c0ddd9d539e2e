"""The HTTPS API: a table of routes, from which both the aiohttp application and its OpenAPI document come."""

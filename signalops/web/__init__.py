"""The HTTP application: routes, authentication of requests, problem documents, OpenAPI. It owns no table."""

"""Station 8, SHOW: the HTTP application and its documentation. Owns no table."""

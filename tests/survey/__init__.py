"""Unmodified daemons of Debian, each under real inits, judged from outside: `make daemons`."""

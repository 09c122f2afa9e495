"""All services as processes of this machine, under supervisord: programs, Redis, and services that live as long as a command.

Imports of the rest only how Redis is reached.
"""

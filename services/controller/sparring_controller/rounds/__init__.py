"""How a round is played: the pure planner, the workers with their leases, the stages, and the clients of the services.

Imports the store. Knows neither HTTP routes nor the command line, nor how services are started; an exact checker enters by an
entry point of the group `sparring.checkers`.
"""

"""The REST service: takes jobs, checks them, starts and ends their processes; on further machines it joins them.

Imports of a job its folder alone, so neither torch nor transformers.
"""

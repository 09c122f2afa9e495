"""What keeps Sparring from working here: checks that start and change nothing, each a sentence that says what to change.

`python -m sparring_controller.doctor` looks around inside a container. Imports the store, rounds and settings.
"""

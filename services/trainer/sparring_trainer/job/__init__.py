"""One training job, `python -m sparring_trainer.job JOB_FOLDER`: process, folder, what it tells.

Imports the learning, and nothing of the service.
"""

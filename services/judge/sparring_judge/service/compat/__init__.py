"""Routes in the shapes that other tools send and read, so that they can call the judge unchanged; see docs/judge.md."""

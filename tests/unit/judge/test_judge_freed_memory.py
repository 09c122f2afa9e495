import subprocess
import sys

from skips import Skip, skip


def test_freed_memory_is_kept() -> None:
    # 64 MiB are 16,384 pages of 4 KiB: that many faults each time, where the C library gives them back.
    code = """if True:
        import resource
        from sparring_judge.engines.pairrm.freed_memory import keep_freed_memory
        if not keep_freed_memory():
            raise SystemExit(3)
        for again in range(3):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            b"x" * (64 << 20)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        skip(Skip.NOT_FOR_THIS_MACHINE, "its C library is not glibc")
    assert int(done.stdout) < 1000

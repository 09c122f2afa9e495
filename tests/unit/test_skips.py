"""The skips that are allowed, and what becomes of others."""

from pathlib import Path

import pytest
from skips import Skip, allowed, because, needs, pinned

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture
def ours(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder of tests under our conftest.py."""
    pytester.makeconftest((TESTS / "conftest.py").read_text(encoding="utf-8"))
    return pytester


@pytest.mark.parametrize(
    "text", ["no GPU", "Skipped: no GPU", "no GPU: torch finds none", because(Skip.DATA_BESIDE, "/x\nis absent")]
)
def test_a_reason_may_say_more(text: str) -> None:
    assert allowed(text)


@pytest.mark.parametrize("text", ["", "unconditional skip", "no GPUs here", "it is late, no GPU", "could not import 'trl'"])
def test_other_reasons_are_none(text: str) -> None:
    assert not allowed(text)


def test_allowed_skips_are_skips(ours: pytest.Pytester) -> None:
    ours.makepyfile(
        """
        import pytest
        from skips import Skip, because, skip

        @pytest.fixture
        def engine():
            skip(Skip.NO_ENGINE)

        @pytest.mark.skipif(True, reason=because(Skip.NO_GPU, "torch finds none"))
        def test_marked(): ...

        def test_called(): skip(Skip.NO_PRIVILEGE, "no user namespaces")

        def test_with_a_fixture(engine): ...

        @pytest.mark.xfail(reason="a known bug")
        def test_expected_to_fail(): assert False
        """
    )
    ours.runpytest().assert_outcomes(skipped=3, xfailed=1)


def test_other_skips_fail(ours: pytest.Pytester) -> None:
    ours.makepyfile(
        """
        import pytest

        @pytest.fixture
        def engine(): pytest.skip("not today")

        @pytest.mark.skip
        def test_never(): ...

        @pytest.mark.skipif(True, reason="slow")
        def test_marked(): ...

        def test_called(): pytest.skip("slow")

        def test_imported(): pytest.importorskip("no_such_package")

        def test_with_a_fixture(engine): ...

        def test_good(): ...
        """
    )
    ran = ours.runpytest()
    # What a mark or a fixture skips is an error of the setup.
    ran.assert_outcomes(passed=1, failed=2, errors=3)
    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["*test_other_skips_fail.py:*: 'Skipped: slow' is no reason to skip; give one of tests/skips.py."])


@pytest.mark.parametrize(
    "body",
    ["import pytest\npytest.importorskip('no_such_package')", "import pytest\npytest.skip('no', allow_module_level=True)"],
)
def test_a_module_that_is_skipped_fails_the_run(ours: pytest.Pytester, body: str) -> None:
    ours.makepyfile(body)
    ran = ours.runpytest()
    ran.assert_outcomes(errors=1)
    assert ran.ret == pytest.ExitCode.INTERRUPTED


def test_a_module_may_be_skipped_for_a_reason(ours: pytest.Pytester) -> None:
    ours.makepyfile("from skips import Skip, skip\nskip(Skip.OTHER_STAGE, 'make judge-parity')")
    ours.runpytest().assert_outcomes(skipped=1)


def test_a_package_is_there_unless_its_pin_excludes_this_machine() -> None:
    lock = "one==1.0\ntwo==2.0 ; python_version < '3'\nthree==3.0 ; python_version >= '3.11'\n"
    assert [pinned(package, lock) for package in ("one", "two", "three", "four")] == [True, False, True, False]
    needs("no-such-package", "numpy")
    with pytest.raises(
        pytest.skip.Exception, match=r"^not made for this machine: requirements/.*\.txt has no such or same for it$"
    ):
        needs("such", "same")

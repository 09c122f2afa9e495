"""The chart is a PNG, with and without a checker."""

from pathlib import Path

from reports import BASE, FIRST, report

from sparring_controller.demo.chart import draw_chart


def test_a_png_is_drawn(tmp_path: Path) -> None:
    draw_chart(tmp_path / "with.png", {"sppo": [BASE, FIRST], "inpo": [BASE]})
    draw_chart(tmp_path / "without.png", {"sppo": [report(0, 0.5, None, None)]})
    drawn = [(tmp_path / name).read_bytes() for name in ("with.png", "without.png")]
    assert [content[:8] for content in drawn] == [b"\x89PNG\r\n\x1a\n"] * 2
    widths = [int.from_bytes(content[16:20]) for content in drawn]
    assert widths == [1200, 600]  # two parts, one part

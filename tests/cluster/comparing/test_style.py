from importlib.resources import files

import pytest

from cluster.comparing.figures.style import DARK, LIGHT, STAND_INS, Palette, color, line, marker

EIGHT = [f"arm-{index}" for index in range(8)]
MANY = [f"arm-{index}" for index in range(40)]


def test_eight_arms_have_a_colour_and_a_marker_each():
    names = ["random", "pretrained", *EIGHT]
    for palette in (LIGHT, DARK, STAND_INS):
        assert len({color(arm, names, palette) for arm in EIGHT}) == 8
    assert len({marker(arm, names) for arm in EIGHT}) == 8
    assert color("pretrained", names, LIGHT) == LIGHT.muted


def test_more_arms_differ_by_marker_and_by_line():
    assert len({(color(arm, MANY, LIGHT), marker(arm, MANY)) for arm in MANY}) == len(MANY)
    assert len({(color(arm, MANY, LIGHT), line(arm, MANY)) for arm in MANY}) == len(MANY)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_arms_stand_out_from_what_they_lie_on(palette: Palette):
    """WCAG 2.2, 1.4.11: graphics have a contrast of 3 at least."""
    for arm in palette.arms:
        darker, lighter = sorted((luminance(arm), luminance(palette.surface)))
        assert (lighter + 0.05) / (darker + 0.05) >= 3.0, arm


def test_the_page_has_a_class_for_each_colour():
    sheet = files("cluster.comparing").joinpath("data/page.css").read_text()
    for index in range(len(LIGHT.arms)):
        assert f".arm-{index} {{ --dot: var(--arm-{index}); }}" in sheet


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" in sRGB, as WCAG defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

"""Pictures of a film with score, action and value drawn below."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    from actors.film import Film

WIDTH = 320  # pixels of a panel
LINE, CHART, BAR = 16, 36, 12  # heights of a line of text, of the chart of values, and of an action's bars
INK, PAPER, GREY, BLUE = (235, 235, 235), (22, 24, 28), (110, 115, 125), (90, 160, 255)
MOST_BARS = 24  # numbers of an action that are drawn


@dataclass(frozen=True)
class Panel:
    """One film as it is shown."""

    film: "Film"
    title: str
    values: np.ndarray | None
    """V by step; None where there is nothing to show."""
    low: np.ndarray
    """Lower bounds of the action's numbers, flattened; discrete ones count from 0."""
    high: np.ndarray


def draw(panel: Panel, index: int) -> "Image.Image":
    """Picture `index` of a panel, or its last one, dimmed, when its film is over. All pictures have the same size."""
    from PIL import Image, ImageDraw, ImageEnhance

    film = panel.film
    over = index >= len(film.frames)
    index = min(index, len(film.frames) - 1)
    picture = Image.fromarray(film.frames[index])
    scaled = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)))
    step = len(film.rewards) - 1 if over else film.shown[index]
    image = Image.new("RGB", (WIDTH, scaled.height + 3 * LINE + BAR + CHART + 8), PAPER)
    image.paste(ImageEnhance.Brightness(scaled).enhance(0.45) if over else scaled, (0, LINE))
    pen = ImageDraw.Draw(image)
    pen.text((4, 2), panel.title, INK)
    y = scaled.height + LINE + 2
    state = "  ended" if over else ""
    pen.text((4, y), f"step {step + 1}   return {sum(film.rewards[: step + 1]):.1f}{state}", INK)
    _action(pen, panel, film.actions[step], y + LINE)
    _values(pen, panel, step, y + 2 * LINE + BAR)
    return image


def _action(pen: "ImageDraw.ImageDraw", panel: Panel, action: Any, y: int) -> None:
    """A bar for each number of the action, from its lower bound to its upper one."""
    numbers = flat(action)
    shown = ", ".join(f"{number:g}" if number == int(number) else f"{number:.2f}" for number in numbers[:4])
    pen.text((4, y), f"action {shown}{', ...' if len(numbers) > 4 else ''}", GREY)
    count = min(len(numbers), MOST_BARS)
    width = (WIDTH - 8) / count
    for place in range(count):
        left = 4 + place * width
        right = left + width - 3
        share = (numbers[place] - panel.low[place]) / max(panel.high[place] - panel.low[place], 1e-9)
        pen.rectangle((left, y + LINE, right, y + LINE + BAR - 4), outline=GREY)
        pen.rectangle((left, y + LINE, left + share * (right - left), y + LINE + BAR - 4), fill=BLUE)


def _values(pen: "ImageDraw.ImageDraw", panel: Panel, step: int, y: int) -> None:
    """V so far, on the scale of the whole episode."""
    values = panel.values
    if values is None:
        pen.text((4, y + 2), "value: no value head was trained", GREY)
        return
    pen.text((4, y + 2), f"value {values[step]:.3g}", INK)
    low, high = float(values.min()), float(values.max())
    left, width = 90, WIDTH - 96
    points = [
        (
            left + width * at / max(1, len(values) - 1),
            y + CHART - 4 - (CHART - 8) * (values[at] - low) / max(high - low, 1e-9),
        )
        for at in range(step + 1)
    ]
    pen.rectangle((left, y, left + width, y + CHART), outline=GREY)
    if len(points) > 1:
        pen.line(points, fill=BLUE, width=2)
    x, top = points[-1]
    pen.ellipse((x - 2, top - 2, x + 2, top + 2), fill=INK)


def flat(action: Any) -> np.ndarray:
    """The numbers of an action of any nesting, in the order of its keys. float64 [n]."""
    if isinstance(action, dict):
        return np.concatenate([flat(action[key]) for key in sorted(action)])
    if isinstance(action, tuple):
        return np.concatenate([flat(part) for part in action])
    return np.asarray(action, dtype=np.float64).reshape(-1)

"""Small texts and pictures of the project's own making: coloured shapes, and what there is to say of them."""

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60), "blue": (40, 70, 200)}
SHAPES = ("square", "disc")


def text_folder(folder: Path, documents: int = 3, words: int = 40) -> Path:
    """Documents of random clauses, one of them in a folder within."""
    draw = random.Random(0)
    (folder / "more").mkdir(parents=True)
    for number in range(documents):
        clauses = [f"the {draw.choice(list(COLOURS))} {draw.choice(SHAPES)} is here." for _ in range(words // 5)]
        (folder / ("more" if number == 0 else ".") / f"{number}.txt").write_text(" ".join(clauses))
    return folder


def caption_folder(folder: Path, pictures: int = 12, questions: bool = False) -> Path:
    """Pictures of one shape each, of several sizes, with captions or with questions and answers."""
    draw = random.Random(1)
    folder.mkdir(parents=True)
    lines = []
    for number in range(pictures):
        colour, shape = draw.choice(list(COLOURS)), draw.choice(SHAPES)
        side = draw.choice([20, 32, 48])
        picture = Image.new("RGB", (side, 32), (240, 240, 240))
        figure = ImageDraw.Draw(picture)
        (figure.ellipse if shape == "disc" else figure.rectangle)((4, 6, 16, 18), fill=COLOURS[colour])
        picture.save(folder / f"{number}.png")
        said = {"question": "which colour?", "answer": colour} if questions else {"caption": f"a {colour} {shape}"}
        lines.append(json.dumps({"image": f"{number}.png"} | said))
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")
    return folder

"""A real browser without a window, asked for the text of a page over its debugging protocol."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 90.0  # seconds for a page
QUIET = ("quic", "background-networking", "component-update", "sync", "gpu")

# Text inside shadow roots too, which TensorBoard's pages are made of.
TEXT = """
(function text(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.data;
  const inside = [...(node.shadowRoot ? [node.shadowRoot] : []), ...node.childNodes];
  return ['STYLE', 'SCRIPT'].includes(node.nodeName) ? '' : inside.map(text).join(' ');
})(document.body)
"""


@contextlib.contextmanager
def browser(program: str, folder: Path) -> Iterator[Callable[[str, Sequence[str]], str]]:
    """A function of (address, texts) that opens a page and returns its text once it holds all of `texts`.

    Args:
        program: Chromium or a relative.
        folder: an empty one, for its profile.
    """
    command = [program, "--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in QUIET)]
    command += ["--remote-debugging-port=0", f"--user-data-dir={folder}", "--window-size=1400,1000", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(folder)
        yield lambda url, texts: asyncio.run(_open(port, url, texts))
    finally:
        process.terminate()
        process.wait(timeout=30)


def _port(folder: Path) -> str:
    file = folder / "DevToolsActivePort"
    deadline = time.monotonic() + PATIENCE
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < deadline, "the browser did not start"
        time.sleep(0.1)
    return file.read_text().split()[0]


async def _open(port: str, url: str, texts: Sequence[str]) -> str:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
            page = await answer.json(content_type=None)
        async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:

            async def ask(method: str, **parameters: Any) -> Any:
                await socket.send_json({"id": 1, "method": method, "params": parameters})
                while True:
                    told = await socket.receive_json(timeout=PATIENCE)
                    if told.get("id") == 1:
                        return told["result"]

            await ask("Page.navigate", url=url)
            deadline = time.monotonic() + PATIENCE
            while True:
                found = await ask("Runtime.evaluate", expression=TEXT, returnByValue=True)
                text = " ".join(str(found["result"].get("value", "")).split())
                missing = [each for each in texts if each not in text]
                if not missing:
                    return text
                assert time.monotonic() < deadline, f"{url} does not show {missing}: {text[:2000]}"
                await asyncio.sleep(0.5)

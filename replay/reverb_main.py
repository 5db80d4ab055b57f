"""The Reverb server's process: `python -m replay.reverb_main SETTINGS`, started by replay/reverb_process.py.

Settings are JSON: {"port": int, "socket": str or null, "directory": str (where checkpoints are written), "restore": str
(a checkpoint) or null, "tables": {name: TableConfig's fields}}. With a socket, the process is sealed off from every
network and reached through that file alone. It answers lines on standard input with lines on standard output, the first
being "ready", and ends when its input does: when its parent is gone.
"""

import json
import os
import sys
from pathlib import Path

from replay.bridge import bridge
from replay.seal import seal
from replay.tables import TableConfig


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Libraries write to standard output too: keep the parent's line for ourselves and send the rest to the log.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    settings = json.loads(sys.argv[1])
    if settings["socket"] is not None:
        seal()  # while there is one thread only
    Path(settings["directory"]).mkdir(parents=True, exist_ok=True)

    import reverb
    from reverb.platform.checkpointers_lib import DefaultCheckpointer

    server = reverb.Server(
        [_table(name, TableConfig(**fields)) for name, fields in settings["tables"].items()],
        port=settings["port"],
        checkpointer=DefaultCheckpointer(settings["directory"], fallback_checkpoint_path=settings["restore"]),
    )
    client = reverb.Client(f"localhost:{settings['port']}")
    if settings["socket"] is not None:
        bridge(Path(settings["socket"]), settings["port"])
    print("ready", file=answers)
    for line in sys.stdin:
        try:
            if line.strip() == "checkpoint":
                print(f"ok {client.checkpoint()}", file=answers)
            else:
                client.server_info(timeout=5)
                print("ok", file=answers)
        except Exception as error:
            print(f"error {str(error).splitlines()[0]}", file=answers)
    server.stop()


def _table(name: str, config: TableConfig) -> object:
    import reverb

    if config.samples_per_insert is None:
        limiter = reverb.rate_limiters.MinSize(config.min_size)
    else:
        limiter = reverb.rate_limiters.SampleToInsertRatio(
            config.samples_per_insert, config.min_size, config.allowed_error()
        )
    return reverb.Table(
        name=name,
        sampler=reverb.selectors.Prioritized(1.0),
        remover=reverb.selectors.Fifo(),
        max_size=config.max_size,
        rate_limiter=limiter,
    )


if __name__ == "__main__":
    main()

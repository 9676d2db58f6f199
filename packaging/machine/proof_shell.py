"""Runs in the test machine: does what comes as JSON lines over a virtio port, and answers in the same way."""

import json
import subprocess

PORT = "/dev/virtio-ports/proof"


def main() -> None:
    with open(PORT, "rb+", buffering=0) as port:  # noqa: PTH123  # a character device
        waiting = b""
        while True:
            read = port.read(65536)
            if not read:
                return  # the bench is gone; the unit starts again and waits for the next one
            waiting += read
            while b"\n" in waiting:
                line, _, waiting = waiting.partition(b"\n")
                port.write(json.dumps(answer(json.loads(line))).encode() + b"\n")


def answer(order: dict[str, object]) -> dict[str, object]:
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", str(order["command"])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=float(str(order["seconds"])),
        )
    except subprocess.TimeoutExpired:
        return {"id": order["id"], "status": -1, "said": f"not within {order['seconds']} s"}
    return {"id": order["id"], "status": done.returncode, "said": done.stdout + done.stderr}


if __name__ == "__main__":
    main()

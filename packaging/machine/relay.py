"""One connection of the test machine, handed over to a port of the loopback. qemu starts one for each connection."""

import os
import select
import socket
import sys


def main() -> None:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as there:
        ways = {0: there.fileno(), there.fileno(): 1}
        while True:
            for source in select.select(list(ways), [], [])[0]:
                read = os.read(source, 65536)
                if not read:
                    return
                while read:
                    read = read[os.write(ways[source], read) :]


if __name__ == "__main__":
    main()

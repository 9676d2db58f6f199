"""`chargepoint sim ACTION ...`: one action on the running simulated borne."""

import json
import sys

from chargepoint.config import Config
from chargepoint.jsonrpc import RpcError


def act(config: Config, words: list[str]) -> int:
    """Do the action that the words name and print its answer, when it has one, as JSON."""
    from chargepoint.sim import client

    try:
        method, params = client.request(words)
    except client.UsageError as error:
        print(f"chargepoint: sim: {error}", file=sys.stderr)
        return 2
    try:
        answer = client.call(config.station.run_dir, method, params)
    except RpcError as error:
        print(f"chargepoint: sim {method}: {error.message}", file=sys.stderr)
        return 1
    except TimeoutError:
        print(f"chargepoint: sim {method}: no answer in time", file=sys.stderr)
        return 1
    except OSError as error:
        reason = error.strerror or error
        print(f"chargepoint: no simulated borne on {config.station.run_dir}/sim.sock ({reason})", file=sys.stderr)
        return 1
    if answer is not None:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    return 0

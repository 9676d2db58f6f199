"""The connectors of an EVSE, by number: what OCPP 2.0.1 calls an EVSE's connectors, the same in every room."""

from typing import Final

TYPE_2: Final = 1
"""The Type 2 socket, or the tethered cable."""
DOMESTIC: Final = 2
"""The domestic socket (Type E/F), where a point has one."""
KINDS: Final = {TYPE_2: "type-2", DOMESTIC: "domestic"}
"""As `status` names them."""

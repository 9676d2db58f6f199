"""Points whose control pilot belongs to an external controller on Modbus: what is asked of it, and what it says.

IEC 61851-1 is that device's work: pilot, contactor, lock and residual current. Nothing here watches over it, and
nothing here can open what it keeps closed.
"""

"""For tests of code that uses the toolkit: time that a test moves, an event loop on virtual time, calls that follow a script."""

from sengol_api.resilience.testing.clock import ManualClock
from sengol_api.resilience.testing.describe import describe
from sengol_api.resilience.testing.loop import VirtualLoop, run_virtual
from sengol_api.resilience.testing.script import Script, after, hang
from sengol_api.resilience.testing.switch import policies_off

__all__ = ["ManualClock", "Script", "VirtualLoop", "after", "describe", "hang", "policies_off", "run_virtual"]

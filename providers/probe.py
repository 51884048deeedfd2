"""Stand-in until the probe is merged."""

from onnxflow.providers.device import CPU, Device
from onnxflow.providers.machine import Health


class ProbedMachine:
    """Stand-in."""

    def health(self, device: Device) -> Health:
        """Works."""
        return Health(device, True, speed={"fp32": 100.0})

    def devices(self) -> tuple[Device, ...]:
        """CPU."""
        return (CPU,)

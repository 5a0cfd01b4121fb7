"""How patient a download is: limits and delays, in one value."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PATIENT", "Policy"]


@dataclass(frozen=True)
class Policy:
    """Limits of one download.

    Attributes:
        max_failures: Tries in a row without one new byte before giving up.
        max_first_failures: The same while the server has never answered: nobody waits a minute
            to hear that there is no network.
        first_delay_s: Wait after the first failure; doubled after each further one.
        max_delay_s: The longest such wait.
        max_retry_after_s: The longest wait that a server may ask for.
        connect_timeout_s: For a connection to be made.
        stall_timeout_s: Without one byte, before a connection counts as dead.
        tick_s: How often progress is reported, and a wish to stop is heard, while nothing comes.
    """

    max_failures: int = 8
    max_first_failures: int = 3
    first_delay_s: float = 0.5
    max_delay_s: float = 30.0
    max_retry_after_s: float = 300.0
    connect_timeout_s: float = 15.0
    stall_timeout_s: float = 30.0
    tick_s: float = 0.1

    def delay_s(self, failures: int, luck: float) -> float:
        """The wait after so many failures in a row; ``luck``, 0 to 1, spreads clients out."""
        doubled = self.first_delay_s * 2.0 ** min(failures - 1, 30)
        return min(doubled, self.max_delay_s) * (0.5 + luck / 2)


PATIENT = Policy()

"""``llmlocal devices``: what ``device=`` can name here."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from llmlocal.cli._table import print_table

if TYPE_CHECKING:
    from llmlocal import Device
    from llmlocal.cli.models import SubParsers

__all__ = ["device_cells", "register"]


def register(subparsers: SubParsers) -> None:
    """Add the command."""
    text = "list the devices that models can run on"
    parser = subparsers.add_parser("devices", help=text, description=text.capitalize() + ".")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--rpc-server",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="list this server's devices too; may be repeated",
    )
    parser.set_defaults(run=_devices)


def _devices(arguments: argparse.Namespace) -> int:
    from llmlocal import devices

    found = devices(arguments.rpc_server)
    if arguments.json:
        print(json.dumps([asdict(device) for device in found], indent=1, ensure_ascii=False))
        return 0
    print_table(device_cells(found), spare=("PCI", "TYPE"))
    return 0


def device_cells(devices: list[Device]) -> Sequence[Sequence[str]]:
    """The cells of a table, under their headings."""
    rows = [("NAME", "DEVICE=", "TYPE", "FREE", "TOTAL", "PCI", "DESCRIPTION")]
    rows += [
        (
            device.name,
            f"{device.backend}:{device.index}"
            if device.type in {"gpu", "igpu"}
            else device.backend,
            device.type,
            _gigabytes(device.memory_free),
            _gigabytes(device.memory_total),
            device.pci_id or "-",
            device.description,
        )
        for device in devices
    ]
    return rows


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size else "-"

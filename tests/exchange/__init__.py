"""A loopback exchange: the wire formats of real venues, pretended data, and faults on demand.

    with serve(World(markets=(generate(),)), faults=[Fault("429", times=2)]) as exchange:
        client = redirect(ccxt.binanceusdm(), exchange.api_url)

As a tool: ``python -m tests.exchange --csv bars.csv.gz --funding funding.csv``.
"""

from tests.exchange.client import redirect
from tests.exchange.faults import Fault
from tests.exchange.files import from_csv
from tests.exchange.loopback import VENUES, Entry, Loopback
from tests.exchange.server import serve
from tests.exchange.wire import Budget
from tests.exchange.world import Market, World, generate, milliseconds, stamp

__all__ = [
    "VENUES",
    "Budget",
    "Entry",
    "Fault",
    "Loopback",
    "Market",
    "World",
    "from_csv",
    "generate",
    "milliseconds",
    "redirect",
    "serve",
    "stamp",
]

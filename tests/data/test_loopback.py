import ccxt
from tests.exchange import World, generate, redirect, serve


def test_smoke():
    with serve(World(markets=(generate(),))) as exchange:
        client = redirect(ccxt.binanceusdm(), exchange.api_url)
        assert client.fetch_time() == exchange.now

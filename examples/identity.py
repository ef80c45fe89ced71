"""Two nodes that prove who they are with Ed25519 keys, and a third that only says so and is turned away."""

import asyncio

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from litz import ConnectError
from outproc import OutprocTransportManager
from outproc.security import Ed25519Authenticator


async def main() -> None:
    # In earnest: litz key new, litz key trust; then load_key and load_trust of outproc.security.keys.
    keys = {name: Ed25519PrivateKey.generate() for name in ("alice", "bob", "mallory")}
    trusted = {name: keys[name].public_key().public_bytes_raw() for name in ("alice", "bob")}

    async with OutprocTransportManager("bob", authenticator=Ed25519Authenticator(keys["bob"], trusted)) as bob:
        # With an authenticator a node may listen beyond loopback too (ws://0.0.0.0:8400).
        listener = await bob.listen("ws://127.0.0.1:0")
        directory = {"bob": [str(endpoint) for endpoint in listener.endpoints]}

        alice_is = Ed25519Authenticator(keys["alice"], trusted)
        async with OutprocTransportManager("alice", directory=directory, authenticator=alice_is) as alice:
            await alice.send("bob", b"it is really me")
            async for message in bob.messages():
                print(f"{message.sender}, verified {message.verified}: {message.data.decode()}")
                break

        not_alice = Ed25519Authenticator(keys["mallory"], trusted)
        async with OutprocTransportManager("alice", directory=directory, authenticator=not_alice) as mallory:
            try:
                await mallory.send("bob", b"it is really me")
            except ConnectError as error:
                print(f"mallory: {type(error.attempts[0].error).__name__}")


if __name__ == "__main__":
    asyncio.run(main())

"""A node that lets in whom a table allows; when the table changes, it looks again, and drops who may not stay."""

import asyncio

from litz import ConnectError
from outproc import OutprocTransportManager
from outproc.security import SharedKeyAuthenticator

ALLOWED = {"alice", "carol"}


def authorize(peer: str, what: str, verb: str) -> bool:
    """Asked when a session is opened, when a wire resumes it, and for each service inside."""
    return peer in ALLOWED


async def main() -> None:
    # In earnest: keys or certificates. Whoever knows a shared key may call itself alice.
    secret = "a secret that all of them share"
    async with OutprocTransportManager("bob", authenticator=SharedKeyAuthenticator(secret), authorize=authorize) as bob:
        listener = await bob.listen("ws://127.0.0.1:0")
        directory = {"bob": [str(endpoint) for endpoint in listener.endpoints]}

        def node(name: str) -> OutprocTransportManager:
            return OutprocTransportManager(name, directory=directory, authenticator=SharedKeyAuthenticator(secret))

        async with node("alice") as alice, node("mallory") as mallory:
            await alice.send("bob", b"may I?", confirm="received")
            print("bob talks to", bob.list_dests())
            try:
                await mallory.send("bob", b"may I?")
            except ConnectError as error:
                print(f"mallory: {type(error.attempts[0].error).__name__}")

            ALLOWED.remove("alice")
            print("dropped:", await bob.reauthorize())
            print("bob talks to", bob.list_dests())


if __name__ == "__main__":
    asyncio.run(main())

"""What is one sandbox? Its accounts, clock, tokens, limits, faults and webhooks, and a record of every request."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from oxcart.errors import InvalidInput
from oxcart_sandbox.account import Account
from oxcart_sandbox.clock import SandboxClock
from oxcart_sandbox.faults import Faults
from oxcart_sandbox.hooks import HookSender, disable_all
from oxcart_sandbox.limits import Limits
from oxcart_sandbox.oauth import Authority
from oxcart_sandbox.scenario import Scenario
from oxcart_sandbox.seed import Seed

_KEPT = 20_000
_SECOND_CONTACTS, _SECOND_LEADS = 30, 20
_LARGEST = 10_000_000


@dataclass(slots=True)
class Seen:
    """One request as it came in. `at` is clock.monotonic() of this machine; `query` as it stood in the line.

    `status` is 0 until it is answered.
    """

    at: float
    address: str
    account: str
    method: str
    path: str
    query: str
    status: int = 0


class World:
    """Two accounts, demo.kommo.com of the size asked for and second.amocrm.com; their rows have the same ids.

    Belongs to the event loop that serves it. `seed` and the scenario decide everything that is random.
    """

    def __init__(
        self,
        *,
        contacts: int = 200,
        leads: int = 100,
        seed: int = 1,
        scenario: Scenario | None = None,
        clock: SandboxClock | None = None,
    ) -> None:
        if not (0 <= contacts <= _LARGEST and 0 <= leads <= _LARGEST):
            raise InvalidInput(f"{contacts} contacts and {leads} leads: the sandbox takes 0 to {_LARGEST} of each.")
        self.scenario = scenario or Scenario()
        self.clock = clock or SandboxClock()
        self.authority = Authority(seed, self.clock, lambda: self.scenario)
        self.faults = Faults(seed, lambda: self.scenario)
        self.hooks = HookSender(seed, self.clock, lambda: self.scenario)
        self.limits = Limits(lambda: self.scenario, lambda: disable_all(self.accounts))
        self.seen: deque[Seen] = deque(maxlen=_KEPT)
        self.statuses: Counter[int] = Counter()
        sizes = (("demo", "kommo.com", contacts, leads), ("second", "amocrm.com", _SECOND_CONTACTS, _SECOND_LEADS))
        self.accounts = [
            self._account(Seed(seed + place, 31_000_001 + place, many, few), name, top)
            for place, (name, top, many, few) in enumerate(sizes)
        ]
        self._tokens = {account.id: self.authority.long_lived(account) for account in self.accounts}

    def find(self, host: str) -> Account | None:
        """By its domain, or by its subdomain alone."""
        name = host.partition(":")[0].lower()
        return next((one for one in self.accounts if name in {one.domain, one.subdomain}), None)

    def token_of(self, account: Account) -> str:
        """A long-lived one of its administrator. It opens nothing but this sandbox."""
        return self._tokens[account.id]

    def account(self, name: str) -> Account:
        found = self.find(name)
        if found is None:
            names = ", ".join(one.subdomain for one in self.accounts)
            raise InvalidInput(f'There is no account "{name}"; there are {names}.')
        return found

    def note_answer(self, seen: Seen, status: int) -> None:
        seen.status = status
        self.statuses[status] += 1

    def _account(self, seed: Seed, subdomain: str, top_domain: str) -> Account:
        account = Account(seed, subdomain, top_domain, self.clock, lambda: self.scenario)
        account.on_change = lambda change: self.hooks.tell(account, change)
        return account

"""The incidents that a review can draw on, held in memory, and how often each industry occurs among them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Set

from sengol_api.review.incident import Incident, IncidentFilter


class Corpus:
    """A version of all incidents.

    Args:
        incidents: every incident once.
        version: changes when any incident does; part of every cache key.
    """

    def __init__(self, incidents: Iterable[Incident], *, version: str) -> None:
        self.version = version
        self._by_id = {incident.id: incident for incident in incidents}
        self._events = frozenset(i.id for i in self._by_id.values() if i.kind != "vulnerability")
        self._by_product: dict[str, set[str]] = {}
        for incident in self._by_id.values():
            if incident.kind == "vulnerability":
                for product in incident.products:
                    self._by_product.setdefault(product.casefold(), set()).add(incident.id)
        known = Counter(i.industry for i in self._by_id.values() if i.kind == "incident" and i.industry)
        total = sum(known.values())
        self.industry_share: Mapping[str, float] = {name: count / total for name, count in known.items()}

    def __len__(self) -> int:
        return len(self._by_id)

    def __getitem__(self, incident_id: str) -> Incident:
        return self._by_id[incident_id]

    @property
    def products(self) -> Set[str]:
        """Names, case folded, of the products that there are advisories on."""
        return self._by_product.keys()

    def get(self, incident_id: str) -> Incident | None:
        """The incident, or None when this version has none of that id."""
        return self._by_id.get(incident_id)

    def all(self) -> Iterable[Incident]:
        """Every incident, in a stable order."""
        return self._by_id.values()

    def where(self, condition: IncidentFilter) -> frozenset[str] | None:
        """Ids that the filter admits; None stands for all of them."""
        if condition.is_empty:
            return None
        return frozenset(key for key, incident in self._by_id.items() if condition.admits(incident))

    def evidence_for(self, products: Iterable[str]) -> frozenset[str]:
        """Ids that may be evidence in a review: every incident and study, and the vulnerabilities of the named products.

        An entry on one library's defect teaches nothing to a system that does not contain the library; half of the
        public entries are of that sort, and they would crowd out what happened to people.
        """
        named = [ids for product in products if (ids := self._by_product.get(product.casefold()))]
        return self._events.union(*named) if named else self._events

"""Loads the documents that rules and messages need, in parallel."""

from msgspec.structs import replace

from cki_notifier.checkout.documents import Checkout
from cki_notifier.checkout.links import merge_request_of, own_pipeline_id
from cki_notifier.checkout.reference import MergeRequestName
from cki_notifier.notification.errors import NotifierError
from cki_notifier.notification.models import Loaded, MergeRequest, Stage
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.sources.jira import JiraIssues
from cki_notifier.workers.deadline import Deadline


class AmbiguousError(NotifierError):
    """A short name with several matches."""


class Loader:
    """Loads from DataWarehouse, GitLab and Jira; ``jira`` is None if not configured.

    Every method raises the errors of :meth:`cki_notifier.sources.http.HTTP.get`.
    """

    def __init__(self, warehouse: DataWarehouse, gitlab: GitLab, jira: JiraIssues | None) -> None:
        self._warehouse = warehouse
        self._gitlab = gitlab
        self._jira = jira

    def find(self, name: MergeRequestName, deadline: Deadline) -> Checkout | None:
        """Return the newest checkout of a merge request, None without a recent one.

        Raises:
            AmbiguousError: several projects end in the same name.
        """
        found: dict[str, Checkout] = {}
        for checkout in self._warehouse.recent_checkouts(deadline):
            if address := name.address_in(checkout):
                found.setdefault(address, checkout)
                if name.host:
                    break
        if len(found) > 1:
            raise AmbiguousError(f"several merge requests match: {', '.join(sorted(found))}")
        return next(iter(found.values()), None)

    def checkout(self, checkout_id: str, stage: Stage | None, deadline: Deadline) -> Loaded:
        """Read a checkout with the documents of its stage; alone without a stage."""
        self._gitlab.check(checkout_id)
        if stage is Stage.PRE_TEST:
            return self._warehouse.checkout_with_builds(checkout_id, deadline)
        if stage is Stage.POST_TEST:
            return self._warehouse.everything(checkout_id, deadline)
        return self._warehouse.checkout(checkout_id, deadline)

    def rest(self, loaded: Loaded, stage: Stage | None, deadline: Deadline) -> Loaded:
        """Read the documents that the stage still needs."""
        if stage is Stage.POST_TEST and loaded.overall_status is None:
            return self._warehouse.everything(loaded.checkout.id, deadline)
        if loaded.builds is None:
            builds = self._warehouse.builds(loaded.checkout.id, deadline)
            return Loaded(checkout=loaded.checkout, builds=builds)
        return loaded

    def merge_request(self, checkout: Checkout, deadline: Deadline) -> MergeRequest | None:
        """Read the checkout's merge request and its newest pipelines; None without."""
        found = merge_request_of(checkout)
        if found is None or not found[1].url:
            return None
        field, url, own = found[0], found[1].url, own_pipeline_id(checkout)
        with self._gitlab.place(checkout.id, url, deadline):
            merge_request, head = self._gitlab.merge_request(url, field, deadline)
            if head is None or own in {0, head.id} or merge_request.state == "merged":
                return merge_request
            downstream = self._gitlab.downstream_pipeline_ids(url, head, own, deadline)
        return replace(merge_request, downstream_pipeline_ids=downstream)

    def with_issues(
        self, merge_request: MergeRequest | None, deadline: Deadline
    ) -> MergeRequest | None:
        """Return a merge request with its Jira issues, or unchanged if Jira fails."""
        if merge_request is None or self._jira is None:
            return merge_request
        return replace(merge_request, jira_issues=self._jira.find(merge_request.jira, deadline))

"""Realistic kernels: checkouts, builds and merge requests of the trees that CKI builds."""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.stand_ins import Services, documents
from tools.stand_ins.documents import MISSING, Document
from tools.stand_ins.jira import SITE

_PIPELINES = "redhat/red-hat-ci-tools/kernel/cki-internal-pipelines/cki-trusted-contributors"
_ARCHITECTURES = ("aarch64", "ppc64le", "s390x", "x86_64")

#: A merge request's own pipeline triggers CKI's, so its id is lower by this.
_UPSTREAM = 2


@dataclass(frozen=True, slots=True)
class Tree:
    """A kernel tree; `package` is the version of its packages, around a build's own number."""

    name: str
    family: str
    package: str
    project: str
    branch: str = "main"
    fix_version: str = ""


C10S = Tree(
    name="c10s",
    family="rhel10",
    package="6.12.0-160.{}.el10",
    project="redhat/centos-stream/src/kernel/centos-stream-10",
    fix_version="rhel-10.1",
)
C9S = Tree(
    name="c9s",
    family="rhel9",
    package="5.14.0-642.{}.el9",
    project="redhat/centos-stream/src/kernel/centos-stream-9",
    fix_version="rhel-9.7",
)
RHEL = Tree(
    name="rhel-9.6",
    family="rhel9",
    package="5.14.0-570.{}.el9_6",
    project="redhat/rhel/src/kernel/rhel-9",
    branch="9.6",
)
ARK = Tree(
    name="ark",
    family="fedora",
    package="6.18.0-0.rc6.{}.eln154",
    project="cki-project/kernel-ark",
    branch="os-build",
)


@dataclass(frozen=True, slots=True)
class Change:
    """A merge request, for an issue in Jira."""

    iid: int
    title: str
    files: Sequence[str]
    labels: Sequence[str]
    issue: str
    #: The issue's; the title of the merge request when there is none.
    summary: str = ""
    components: Sequence[str] = ()
    state: str = "opened"
    #: The CKI pipeline of a newer push; None when the kernel's own is the newest.
    newer_pipeline: int | None = None


class Kernel:
    """A kernel that CKI builds, with its documents in the services.

    Each architecture has a build, and x86_64 one more for debugging. `broken` builds do not
    compile. Unless `complete`, more builds follow. The methods update DataWarehouse.
    """

    def __init__(
        self,
        services: Services,
        tree: Tree,
        pipeline: int,
        change: Change | None = None,
        *,
        origin: str = "redhat",
        architectures: Sequence[str] = _ARCHITECTURES,
        complete: bool = True,
        broken: bool = False,
        **misc: object,
    ) -> None:
        self.tree = tree
        self.id = f"{origin}:{pipeline}"
        self._warehouse = services.warehouse
        package = tree.package.format(f"{change.iid}_{pipeline}" if change else pipeline)
        version, _, release = package.partition("-")
        files = change.files if change else ()
        self.checkout = documents.checkout(
            self.id,
            merge_request=_merge_request(services, tree, pipeline, change) if change else None,
            pipeline=services.gitlab.pipeline_url(_PIPELINES, pipeline),
            origin=origin,
            tree_name=tree.name,
            git_repository_url=f"https://gitlab.com/{tree.project}.git",
            git_repository_branch=tree.branch,
            misc={
                "kernel_version": package,
                "source_package_version": version,
                "source_package_release": release,
                "patchset_modified_files": [{"path": each} for each in files],
                "ready_to_report": False,
                "notification_sent_build_setups_finished": complete,
                **misc,
            },
        )
        details: Document = {"kpet_tree_name": tree.name, "kpet_tree_family": tree.family}
        fault: Document = {}
        if broken:
            details |= {"package_version": MISSING, "package_release": MISSING}
            fault = {"valid": False, "output_files": []}
        self.builds = [
            documents.build(self.checkout, each, debug=debug, misc=details, **fault)
            for each in architectures
            for debug in ([False, True] if each == "x86_64" else [False])
        ]
        self._tests: Sequence[Document] = ()
        self._results: Sequence[Document] = ()
        self._occurrences: list[Document] = []
        self._store()

    def tested(self, *tests: Document, results: Sequence[Document] = ()) -> None:
        """Finish all tests, these and a boot test of each valid build."""
        boots = [documents.test(it, "boot") for it in self.builds if it["valid"]]
        self._tests, self._results = [*boots, *tests], results
        self.checkout["misc"]["ready_to_report"] = True
        self._store()

    def triaged(self, *occurrences: Document) -> None:
        """Add known issues to its failures."""
        self._occurrences += occurrences
        self._store()

    def _store(self) -> None:
        parts = (self.builds, self._tests, self._results, self._occurrences)
        self._warehouse.add(documents.everything(self.checkout, *parts))


def _merge_request(services: Services, tree: Tree, pipeline: int, change: Change) -> str:
    """Put a merge request into GitLab, and its issue into Jira; return its URL.

    It has a pipeline that triggers CKI's.
    """
    services.jira.add_issue(
        documents.jira_issue(
            change.issue,
            summary=change.summary or change.title,
            components=[{"name": each} for each in change.components],
            fixVersions=[{"name": tree.fix_version}],
        )
    )
    gitlab, newest = services.gitlab, change.newer_pipeline or pipeline
    url = gitlab.merge_request_url(tree.project, change.iid)
    gitlab.add_merge_request(
        documents.merge_request(
            url,
            state=change.state,
            labels=change.labels,
            title=change.title,
            description=f"{change.title}\n\nJIRA: {SITE}/browse/{change.issue}\n",
            target_branch=tree.branch,
            head_pipeline=gitlab.pipeline_url(tree.project, newest - _UPSTREAM),
        ),
        [documents.bridge(gitlab.pipeline_url(_PIPELINES, newest))],
    )
    return url

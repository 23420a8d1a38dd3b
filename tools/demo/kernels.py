"""Believable kernels: checkouts, builds and merge requests of the trees that CKI builds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tools.stand_ins import Services, documents
from tools.stand_ins.documents import MISSING, Document
from tools.stand_ins.jira import SITE

_PIPELINES = "redhat/red-hat-ci-tools/kernel/cki-internal-pipelines/cki-trusted-contributors"
_ARCHITECTURES = ("aarch64", "ppc64le", "s390x", "x86_64")

#: A merge request's own pipeline does no more than trigger CKI's, so it's a bit older.
_UPSTREAM = 2


@dataclass(frozen=True, slots=True)
class Tree:
    """A kernel tree.

    `release` and `dist` are around a build's own number in the release of its package.
    """

    name: str
    family: str
    version: str
    release: str
    dist: str
    project: str
    branch: str = "main"


C10S = Tree(
    name="c10s",
    family="rhel10",
    version="6.12.0",
    release="160",
    dist="el10",
    project="redhat/centos-stream/src/kernel/centos-stream-10",
)
C9S = Tree(
    name="c9s",
    family="rhel9",
    version="5.14.0",
    release="642",
    dist="el9",
    project="redhat/centos-stream/src/kernel/centos-stream-9",
)
RHEL = Tree(
    name="rhel-9.6",
    family="rhel9",
    version="5.14.0",
    release="570",
    dist="el9_6",
    project="redhat/rhel/src/kernel/rhel-9",
    branch="9.6",
)
ARK = Tree(
    name="ark",
    family="fedora",
    version="6.18.0",
    release="0.rc6",
    dist="eln154",
    project="cki-project/kernel-ark",
    branch="os-build",
)


@dataclass(frozen=True, slots=True)
class Change:
    """A merge request."""

    iid: int
    title: str
    files: Sequence[str]
    labels: Sequence[str]
    description: str
    state: str = "opened"
    draft: bool = False
    #: The CKI pipeline of a newer push; None when the kernel's own is the newest.
    newer_pipeline: int | None = None


class Kernel:
    """A kernel that CKI builds, as the services tell of it.

    It is in the warehouse from the start, without any build. The methods bring the warehouse up to
    date.
    """

    def __init__(
        self,
        services: Services,
        tree: Tree,
        pipeline: int,
        change: Change | None = None,
        *,
        origin: str = "redhat",
        **misc: object,
    ) -> None:
        self.tree = tree
        self._warehouse = services.warehouse
        self._release = _release(tree, pipeline, change)
        self._parts: dict[str, list[Document]] = {
            "builds": [],
            "tests": [],
            "testresults": [],
            "occurrences": [],
        }
        self.checkout = documents.checkout(
            f"{origin}:{pipeline}",
            merge_request=_merge_request(services, tree, pipeline, change) if change else None,
            pipeline=services.gitlab.pipeline_url(_PIPELINES, pipeline),
            origin=origin,
            tree_name=tree.name,
            git_repository_url=f"https://gitlab.com/{tree.project}.git",
            git_repository_branch=tree.branch,
            misc={
                "kernel_version": f"{tree.version}-{self._release}",
                "source_package_version": tree.version,
                "source_package_release": self._release,
                "patchset_modified_files": [{"path": each} for each in change.files]
                if change
                else [],
                "notification_sent_build_setups_finished": False,
                "ready_to_report": False,
                **misc,
            },
        )
        self._store()

    @property
    def id(self) -> str:
        """The checkout's id."""
        return str(self.checkout["id"])

    def built(
        self,
        architectures: Sequence[str] = _ARCHITECTURES,
        *,
        broken: bool = False,
        done: bool = True,
    ) -> list[Document]:
        """Have it built for the architectures, and for debugging on x86_64; return the builds.

        Without `done` further builds are still to come.
        """
        kinds = [(each, False) for each in architectures]
        kinds += [("x86_64", True)] if "x86_64" in architectures else []
        self._parts["builds"] = [self._build(*kind, broken=broken) for kind in kinds]
        self.checkout["misc"]["notification_sent_build_setups_finished"] = done
        self._store()
        return self._parts["builds"]

    def tested(self, tests: Sequence[Document], results: Sequence[Document] = ()) -> None:
        """Have all its tests done."""
        self._parts |= {"tests": list(tests), "testresults": list(results)}
        self.checkout["misc"]["ready_to_report"] = True
        self._store()

    def triaged(self, *occurrences: Document) -> None:
        """Have known issues seen in it, besides those that were seen before."""
        self._parts["occurrences"] += occurrences
        self._store()

    def _store(self) -> None:
        self._warehouse.add(documents.everything(self.checkout, **self._parts))

    def _build(self, architecture: str, debug: bool, *, broken: bool) -> Document:  # noqa: FBT001 - from a pair
        version = f"{self.tree.version}-{self._release}"
        packages = f"https://s3.example.com/trusted/{self.id.partition(':')[2]}/{architecture}"
        return documents.build(
            self.checkout,
            architecture,
            debug=debug,
            valid=not broken,
            output_files=[]
            if broken
            else [{"name": "kernel_package_url", "url": f"{packages}/{version}.{architecture}"}],
            misc={
                "kpet_tree_name": self.tree.name,
                "kpet_tree_family": self.tree.family,
                "package_version": MISSING if broken else self.tree.version,
                "package_release": MISSING if broken else self._release,
            },
        )


def issue(services: Services, key: str, summary: str, **fields: Any) -> str:
    """Put an issue into Jira; return the trailer that names it in a merge request."""
    services.jira.add_issue(documents.jira_issue(key, summary=summary, **fields))
    return f"JIRA: {SITE}/browse/{key}"


def _release(tree: Tree, pipeline: int, change: Change | None) -> str:
    number = f"{change.iid}_{pipeline}" if change else str(pipeline)
    return f"{tree.release}.{number}.{tree.dist}"


def _merge_request(services: Services, tree: Tree, pipeline: int, change: Change) -> str:
    """Put the merge request into GitLab, with a pipeline that triggers CKI's; return its URL."""
    newest = change.newer_pipeline or pipeline
    url = services.gitlab.merge_request_url(tree.project, change.iid)
    services.gitlab.add_merge_request(
        documents.merge_request(
            url,
            state=change.state,
            draft=change.draft,
            labels=change.labels,
            description=change.description,
            title=f"Draft: {change.title}" if change.draft else change.title,
            target_branch=tree.branch,
            head_pipeline=services.gitlab.pipeline_url(tree.project, newest - _UPSTREAM),
        ),
        [documents.bridge(services.gitlab.pipeline_url(_PIPELINES, newest))],
    )
    return url

"""Believable kernels: checkouts, builds and merge requests of the trees that CKI builds."""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.stand_ins import Services, documents
from tools.stand_ins.documents import MISSING, Document
from tools.stand_ins.jira import SITE

_PIPELINES = "redhat/red-hat-ci-tools/kernel/cki-internal-pipelines/cki-trusted-contributors"
_ARCHITECTURES = ("aarch64", "ppc64le", "s390x", "x86_64")

#: A merge request's own pipeline does no more than trigger CKI's, so it's a bit older.
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
        self.id = f"{origin}:{pipeline}"
        self._warehouse = services.warehouse
        self._package = tree.package.format(f"{change.iid}_{pipeline}" if change else pipeline)
        self._version, _, self._release = self._package.partition("-")
        self._parts: dict[str, list[Document]] = {"occurrences": []}
        self.checkout = documents.checkout(
            self.id,
            merge_request=_merge_request(services, tree, pipeline, change) if change else None,
            pipeline=services.gitlab.pipeline_url(_PIPELINES, pipeline),
            origin=origin,
            tree_name=tree.name,
            git_repository_url=f"https://gitlab.com/{tree.project}.git",
            git_repository_branch=tree.branch,
            misc={
                "kernel_version": self._package,
                "source_package_version": self._version,
                "source_package_release": self._release,
                "patchset_modified_files": [{"path": each} for each in change.files]
                if change
                else [],
                "ready_to_report": False,
                "notification_sent_build_setups_finished": False,
                **misc,
            },
        )
        self._store()

    def built(
        self,
        architectures: Sequence[str] = _ARCHITECTURES,
        *,
        done: bool = True,
        broken: bool = False,
    ) -> list[Document]:
        """Have kernels built, one for debugging on x86_64 as well; return the builds.

        `done` tells that these are all. `broken` ones do not compile.
        """
        kinds = [(each, False) for each in architectures]
        kinds += [("x86_64", True)] if "x86_64" in architectures else []
        self._parts["builds"] = [self._build(*kind, broken=broken) for kind in kinds]
        self.checkout["misc"]["notification_sent_build_setups_finished"] = done
        self._store()
        return self._parts["builds"]

    def tested(self, tests: Sequence[Document], results: Sequence[Document] = ()) -> None:
        """Have all its tests done, besides one of each build that boots."""
        boots = [documents.test(it, "boot") for it in self._parts["builds"] if it["valid"]]
        self._parts |= {"tests": [*boots, *tests], "testresults": list(results)}
        self.checkout["misc"]["ready_to_report"] = True
        self._store()

    def triaged(self, *occurrences: Document) -> None:
        """Have known issues seen in it, besides those that were seen before."""
        self._parts["occurrences"] += occurrences
        self._store()

    def _store(self) -> None:
        self._warehouse.add(documents.everything(self.checkout, **self._parts))

    def _build(self, architecture: str, debug: bool, *, broken: bool) -> Document:  # noqa: FBT001 - from a pair
        folder = f"https://s3.example.com/trusted/{self.id.partition(':')[2]}/{architecture}"
        package = {"name": "kernel_package_url", "url": f"{folder}/{self._package}.{architecture}"}
        return documents.build(
            self.checkout,
            architecture,
            debug=debug,
            valid=not broken,
            output_files=[] if broken else [package],
            misc={
                "kpet_tree_name": self.tree.name,
                "kpet_tree_family": self.tree.family,
                "package_version": MISSING if broken else self._version,
                "package_release": MISSING if broken else self._release,
            },
        )


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

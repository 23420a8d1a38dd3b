"""The stand-ins that a daemon's own configuration leads to: its addresses, its tokens."""

from urllib.parse import urlsplit

from cki_notifier.configuration.settings import Config
from cki_notifier.notification.errors import ConfigurationError
from tools.stand_ins import Place, Services
from tools.stand_ins.jira import Kind


def configured(config: Config, listen: str | None = None) -> Services:
    """Return stand-ins for what a daemon would ask; they are down, and to be closed.

    Args:
        config: names DataWarehouse, one GitLab and Jira, each with a token and by plain HTTP.
        listen: the address of this machine on which they take the ports of these addresses; None
            for ones that nobody reaches there, and that only make the documents.

    Raises:
        ConfigurationError: they can't stand in for what the configuration names.
    """
    if len(config.gitlab_tokens) != 1:
        raise ConfigurationError(["GITLAB_TOKENS: has to name one host, for the one stand-in"])
    ((host, token),) = config.gitlab_tokens.items()
    if config.jira is None or config.jira.token is None:
        raise ConfigurationError(["JIRA_SERVER, JIRA_TOKEN_AUTH: are not set, for the stand-in"])
    urls = (config.datawarehouse.url, f"http://{host}", config.jira.url)
    services = Services(*(_place(url, listen) for url in urls))
    services.warehouse.token = config.datawarehouse.token.reveal()
    services.gitlab.token = token.reveal()
    services.jira.token = config.jira.token.reveal()
    services.jira.email = config.jira.email
    services.jira.kind = Kind.CLOUD if config.jira.email else Kind.SERVER
    return services


def _place(url: str, listen: str | None) -> Place:
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.path:
        raise ConfigurationError([f"{url}: a stand-in has an address like http://name:8001"])
    return Place(url=url) if listen is None else Place(listen, parts.port or 80, url)

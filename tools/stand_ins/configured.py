"""Stand-ins at the addresses and with the tokens of a daemon's configuration."""

from urllib.parse import urlsplit

from cki_notifier.configuration.settings import Config
from cki_notifier.notification.errors import ConfigurationError
from tools.stand_ins import Place, Services
from tools.stand_ins.jira import Kind


def configured(config: Config, listen: str | None = None) -> Services:
    """Return stand-ins for the services of a daemon. They are down; the caller closes them.

    Args:
        config: has DataWarehouse, one GitLab and Jira, each with a token and an http:// URL.
        listen: the local address on which they use the ports of these URLs. With None they use free
            ports, and only provide the documents.

    Raises:
        ConfigurationError: stand-ins are impossible for this configuration.
    """
    if len(config.gitlab_tokens) != 1:
        raise ConfigurationError(["GITLAB_TOKENS: has to name one host, as there is one stand-in"])
    ((host, token),) = config.gitlab_tokens.items()
    if config.jira is None or config.jira.token is None:
        raise ConfigurationError(
            ["JIRA_SERVER, JIRA_TOKEN_AUTH: are not set, but the stand-in needs them"]
        )
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

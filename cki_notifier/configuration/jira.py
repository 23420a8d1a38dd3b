"""Jira's variables, and which of them fit together."""

import base64
import re
from urllib.parse import urlsplit

from cki_notifier.configuration import checks
from cki_notifier.configuration.environment import Reader
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.variables import setting, settings, variables_of


@settings
class JiraConfig:
    """How to reach Jira; without a token it is read anonymously."""

    url: str = setting(
        "JIRA_SERVER",
        checks.http_url,
        "the address of Jira",
        "`https://redhat.atlassian.net`, a site of Jira Cloud, say, or "
        "`https://api.atlassian.com/ex/jira/<cloudId>`, or a Data Center's: "
        "[which takes what](services.md#jira). Without it no issues are looked up.",
        unset="none",
    )
    email: str | None = setting(
        "JIRA_EMAIL",
        checks.email_address,
        "the e-mail address of the one whose API token JIRA_TOKEN_AUTH is",
        "For Jira Cloud alone, whose sites take both together.",
        default="",
    )
    token: Secret | None = setting(
        "JIRA_TOKEN_AUTH",
        checks.token,
        "the token for Jira",
        "An API token of Jira Cloud, a personal access token of a Data Center. Without it Jira is "
        "read anonymously.",
        default="",
    )

    @property
    def basic(self) -> Secret | None:
        """What basic authentication makes of both, which is as secret as the token."""
        if self.token is None or self.email is None:
            return None
        pair = f"{self.email}:{self.token.reveal()}"
        return Secret(base64.b64encode(pair.encode()).decode())

    @property
    def is_site(self) -> bool:
        """Whether it is a site of the Cloud, which takes an e-mail address with each token."""
        return (urlsplit(self.url).hostname or "").endswith(".atlassian.net")

    @property
    def is_gateway(self) -> bool:
        """Whether it is the address that all sites of the Cloud have in common."""
        return urlsplit(self.url).hostname == "api.atlassian.com"

    @property
    def is_cloud(self) -> bool:
        """Whether it is surely a Jira Cloud; any other may be one behind a name of its own."""
        return self.is_site or self.is_gateway or self.email is not None


def read_jira(reader: Reader) -> JiraConfig | None:
    """Return the part for Jira, unless there is none; note what can't work together."""
    held = reader.values(JiraConfig, needed=False)
    config = JiraConfig(**held | {"url": held["url"] or ""})
    server, email, token = variables_of(JiraConfig).values()
    # What is at fault is there all the same, or it would be missed, too.
    has_server, has_email, has_token = map(reader.is_set, (server, email, token))
    path = urlsplit(config.url).path
    if has_email and not has_server:
        text = f"is not set, but {email.name} is; it has to hold {server.holds}"
        reader.fault(server.name, text)
    if has_email and not has_token:
        text = f"is not set, but {email.name} is; it has to hold the API token of that user"
        reader.fault(token.name, text)
    if config.is_site and has_token and not has_email:
        text = f"is not set; {config.url} takes a token together with {email.holds} alone"
        reader.fault(email.name, text)
    if config.is_site and path:
        text = f"has the path {path!r}; a site of Jira Cloud is asked without one"
        reader.fault(server.name, text)
    if config.is_gateway and not re.fullmatch("/ex/jira/[^/]+", path):
        text = "names no site; it has to be like https://api.atlassian.com/ex/jira/<cloudId>"
        reader.fault(server.name, text)
    if config.is_gateway and not has_token:
        text = "is not set; api.atlassian.com answers nobody without a token"
        reader.fault(token.name, text)
    return config if config.url else None

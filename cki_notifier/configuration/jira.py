"""Jira's variables, and which of them go together."""

import base64
import re
from urllib.parse import urlsplit

from cki_notifier.configuration import checks
from cki_notifier.configuration.environment import Reader
from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.variables import setting, settings, variables_of


@settings
class JiraConfig:
    """How to reach Jira. Without a token, access is anonymous."""

    url: str = setting(
        "JIRA_SERVER",
        checks.http_url,
        "the URL of Jira",
        "Without it, messages have no issues. A Jira Cloud site, the gateway "
        "`https://api.atlassian.com/ex/jira/<cloudId>`, or a Jira Data Center: each "
        "[needs other variables](services.md#jira).",
        unset="none",
        values="`http://…` or `https://…`",
        example="https://redhat.atlassian.net",
    )
    email: str | None = setting(
        "JIRA_EMAIL",
        checks.email_address,
        "the email address of the user who owns JIRA_TOKEN_AUTH",
        "Only for Jira Cloud. A Jira Cloud site needs it with each token.",
        default="",
        values="`name@domain`, in ASCII",
    )
    token: Secret | None = setting(
        "JIRA_TOKEN_AUTH",
        checks.token,
        "the token for Jira",
        "An API token of Jira Cloud, or a personal access token of Jira Data Center. Without it, "
        "cki-notifier reads Jira anonymously.",
        default="",
        values="printable ASCII",
    )

    @property
    def basic(self) -> Secret | None:
        """The credentials for basic authentication, as secret as the token."""
        if self.token is None or self.email is None:
            return None
        pair = f"{self.email}:{self.token.reveal()}"
        return Secret(base64.b64encode(pair.encode()).decode())

    @property
    def is_site(self) -> bool:
        """Whether it is a Jira Cloud site, which needs an email address with each token."""
        return (urlsplit(self.url).hostname or "").endswith(".atlassian.net")

    @property
    def is_gateway(self) -> bool:
        """Whether it is the gateway of all Jira Cloud sites."""
        return urlsplit(self.url).hostname == "api.atlassian.com"

    @property
    def is_cloud(self) -> bool:
        """Whether it is certainly Jira Cloud. Another URL may be Jira Cloud with its own name."""
        return self.is_site or self.is_gateway or self.email is not None


def read_jira(reader: Reader) -> JiraConfig | None:
    """Return the configuration of Jira, if any; note variables that exclude each other."""
    held = reader.values(JiraConfig, needed=False)
    config = JiraConfig(**held | {"url": held["url"] or ""})
    server, email, token = variables_of(JiraConfig).values()
    # A faulty variable counts as set, or it would be reported as missing, too.
    has_server, has_email, has_token = map(reader.is_set, (server, email, token))
    path = urlsplit(config.url).path
    if has_email and not has_server:
        text = f"is not set, but {email.name} is; set it to {server.holds}"
        reader.fault(server.name, text)
    if has_email and not has_token:
        text = f"is not set, but {email.name} is; set it to the API token of that user"
        reader.fault(token.name, text)
    if config.is_site and has_token and not has_email:
        text = f"is not set, but {config.url} is a site of Jira Cloud; set it to {email.holds}"
        reader.fault(email.name, text)
    if config.is_site and path:
        text = f"has the path {path!r}; remove it, as a site of Jira Cloud has none"
        reader.fault(server.name, text)
    if config.is_gateway and not re.fullmatch("/ex/jira/[^/]+", path):
        text = "names no site; write https://api.atlassian.com/ex/jira/<cloudId>"
        reader.fault(server.name, text)
    if config.is_gateway and not has_token:
        text = f"is not set, but api.atlassian.com needs a token; set it to {token.holds}"
        reader.fault(token.name, text)
    return config if config.url else None

"""Every setting, in one typed model: read from the environment, validated at start; secrets are never printed."""

import os
from functools import cache, lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_SECRETS = Path("/run/secrets")

ON_ONE_MACHINE = {
    "SIGNALOPS_SEND_ALLOWED_NETWORKS": '["127.0.0.0/8", "::1/128"]',
    "SIGNALOPS_SEND_PORTS": "[]",
    "SIGNALOPS_SEND_PLAIN_HTTP": "true",
}
"""The environment of an installation that may send to its own machine."""


class Settings(BaseSettings):
    """Settings of the installation: from the environment as SIGNALOPS_<NAME>, or from a file of that name in /run/secrets.

    DATABASE_URL has no prefix.
    """

    model_config = SettingsConfigDict(
        env_prefix="SIGNALOPS_", extra="ignore", populate_by_name=True, secrets_dir=_SECRETS if _SECRETS.is_dir() else None
    )

    database_url: SecretStr | None = Field(
        None, validation_alias="DATABASE_URL", description="PostgreSQL to use; without it an embedded one is started."
    )
    api_database_url: SecretStr | None = Field(
        None, description="Login of the API process; without it DATABASE_URL in the role signalops_api."
    )
    worker_database_url: SecretStr | None = Field(
        None, description="Login of the workers; without it DATABASE_URL in the role signalops_worker."
    )
    platform_database_url: SecretStr | None = Field(
        None,
        description="Login of the API process for operators' requests; without it DATABASE_URL in the role signalops_platform.",
    )
    pooler: bool = Field(
        False,
        description="Whether the processes connect through a transaction pooler such as PgBouncer; then each login is the role"
        " itself: signalops_api, signalops_worker, signalops_platform. DATABASE_URL leads to PostgreSQL in any "
        "case.",
    )
    listen_database_url: SecretStr | None = Field(
        None,
        description="Direct connection, bypassing the pooler, for LISTEN; without it API and workers poll: keys and tenants "
        "every second, jobs every half second.",
    )
    data: Path = Field(Path(".data"), description="Folder of the embedded PostgreSQL and of generated secrets.")
    embedded_version: Annotated[Literal[16, 18], BeforeValidator(int)] = Field(
        18, description="Major version of the embedded PostgreSQL: 16 or 18."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Fernet keys that encrypt channel secrets, comma-separated, newest first; "
        "with an embedded PostgreSQL one is generated in the data folder.",
    )

    host: str = Field(
        "localhost", description="Address that the API listens on; `localhost` is both 127.0.0.1 and ::1, where there is one."
    )
    port: int = Field(3000, ge=0, le=65535, description="Port that the API listens on.")
    max_connections: int = Field(
        900,
        ge=1,
        description="Maximum client connections of one API process; beyond it the answer is 503. Its limit of open files must "
        "be 120 higher.",
    )
    drain_seconds: float = Field(
        3,
        ge=0,
        description="Seconds after SIGTERM for which an API process reports not ready but still answers; a second SIGTERM ends"
        " them.",
    )
    cors_origins: tuple[Annotated[str, Field(pattern=r"^https?://[^\s/*]+$")], ...] = Field(
        (),
        description="Origins whose pages may call the API from a browser: a JSON list such as "
        '`["https://app.example.com"]`; with an empty list none.',
    )
    api_connections: int = Field(
        6, ge=3, description="Maximum database connections of one API process for queries; three more store events and LISTEN."
    )

    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="Log format: json, text, or auto (text on a terminal, json elsewhere)."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum level of log lines.")
    log_requests: Literal["notable", "all"] = Field(
        "notable", description="Requests that are logged: all, or notable (rejected, slow, or storing no events)."
    )
    traces: bool = Field(
        False,
        description="Whether spans are exported, configured by OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT); "
        "needs the extra `traces`.",
    )
    metrics_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Bearer token for /metrics of the API; without it only direct requests from this machine are allowed.",
    )

    own_host_only: bool = Field(
        False,
        description="Whether requests from this machine must have it in Host, which prevents DNS rebinding by web pages; "
        "`signalops up` sets it.",
    )

    jwt_secret: SecretStr | None = Field(
        None,
        description="Secret of 32 bytes or more with which the issuer signs bearer tokens (HS256); with an embedded PostgreSQL"
        " one is generated in the data folder.",
    )
    jwt_jwks: str | None = Field(
        None,
        description="Instead of a secret the issuer's public keys (RS256, ES256, EdDSA): the https URL of a JWKS, or the path "
        "of a file.",
    )
    jwt_issuer: str | None = Field(None, description="Issuer that tokens must name (`iss`).")
    jwt_audience: str | None = Field(None, description="Audience that tokens must name (`aud`): this installation.")
    jwt_leeway_seconds: float = Field(30, ge=0, le=300, description="Allowed difference of the issuer's clock in seconds.")
    jwt_tenant_claim: str = Field(
        "tenant", min_length=1, description="Claim that contains a user's tenant, as id or slug; operators' tokens lack it."
    )
    jwt_scope_claim: str = Field(
        "scope", min_length=1, description="Claim that contains the scopes: text with blanks between them, or a list."
    )

    request_rate: float = Field(
        100, gt=0, description="Requests per second, other than events, that each API process allows one caller."
    )
    request_burst: int = Field(
        1000, ge=1, description="Burst of requests, other than events, that each API process allows one caller."
    )
    max_event_bytes: int = Field(256 * 1024, ge=1024, description="Maximum body of one event in bytes.")
    max_batch_bytes: int = Field(8 * 1024 * 1024, ge=1024, description="Maximum body of a batch of events in bytes.")
    max_waiting_events: int = Field(
        10_000, ge=1, description="Maximum events that wait for a flush; beyond it the answer is 503."
    )
    max_flush_events: int = Field(500, ge=1, description="Maximum events of one flush.")
    flush_linger_ms: float = Field(
        1.5, ge=0, description="Minimum time between flushes under load in milliseconds: limits the rate of commits that NOTIFY."
    )
    max_meters: int = Field(50, ge=1, description="Maximum active meters of a tenant, besides those of its plan.")
    backfill_days: int = Field(
        35, ge=1, description="Maximum age of an event in days when it is sent, and of usage that is adjusted."
    )
    close_after_hours: float = Field(
        24,
        ge=0,
        description="Hours after the end of a billing period until it is closed; until then its late events are counted in it.",
    )

    retention_days: int = Field(
        400,
        ge=7,
        description="Days for which events are kept, with their matches, deliveries and attempts, unless a plan or a tenant "
        "says otherwise; usage and invoices stay.",
    )
    audit_log_days: int = Field(400, ge=7, description="Days for which the audit log is kept.")
    job_history_days: int = Field(30, ge=1, description="Days for which failed and cancelled jobs are kept.")

    max_rules: int = Field(1000, ge=1, description="Maximum rules of a tenant.")
    max_backtests: int = Field(3, ge=1, description="Maximum unfinished backtests of a tenant.")
    backtest_events: int = Field(1_000_000, ge=1, description="Maximum events that one backtest scans.")
    backtest_seconds: float = Field(120, gt=0, description="Maximum working time of one backtest in seconds.")
    max_replayed_events: int = Field(10_000, ge=1, description="Maximum events of one replay.")

    platform_tenant: str | None = Field(
        None,
        max_length=63,
        description="Slug of the operators' own tenant, which gets alerts as events; without it they are only in ops.alerts.",
    )
    worker_concurrency: int = Field(8, ge=1, description="Jobs that one worker process runs concurrently.")
    worker_metrics_host: str = Field(
        "127.0.0.1", description="Address on which a worker serves /metrics, without authentication."
    )
    worker_metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port on which a worker serves /metrics, 0 for any free one; without it metrics are not served.",
    )
    smtp_host: str = Field("127.0.0.1", description="Mail server.")
    smtp_port: int = Field(1025, ge=1, le=65535, description="Port of the mail server.")
    smtp_username: str | None = Field(
        None, description="Login at the mail server; without it mail is sent without authentication."
    )
    smtp_password: SecretStr | None = Field(None, description="Password of that login.")
    smtp_security: Literal["starttls", "tls", "none"] | None = Field(
        None,
        description="Encryption of the connection: starttls, tls (from the first byte), or none; without it none for this "
        "machine, starttls for others.",
    )
    smtp_connections: int = Field(20, ge=1, description="Maximum connections of one worker process to one mail server.")
    mail_from: str = Field("SignalOps <signalops@localhost>", description="Sender of notifications by email.")
    mail_unsubscribe: str | None = Field(
        None,
        pattern=r"^(https://|mailto:)[!-;=?-~]+$",
        description="Unsubscribe URL: an https URL with `{delivery}` in it, which accepts the one-click POST (RFC 8058), or a "
        "mailto URL; without it a mail to the sender.",
    )
    ses_configuration_set: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Configuration set of Amazon SES, which publishes deliveries, bounces and complaints to that topic.",
    )
    ses_topic_arn: str | None = Field(
        None,
        pattern=r"^arn:aws(-cn)?:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}$",
        description="SNS topic that posts the events of Amazon SES to /api/callbacks/ses; without it none are taken.",
    )
    sns_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s?#]+[^/\s?#]$",
        description="Base URL of SNS's certificates, for a test double; without it SNS's own host in the topic's region.",
    )
    telegram_url: str = Field(
        "https://api.telegram.org", pattern=r"^https?://[^\s?#]+[^/\s?#]$", description="Telegram's Bot API."
    )
    whatsapp_url: str = Field(
        "https://graph.facebook.com/v24.0",
        pattern=r"^https?://[^\s?#]+[^/\s?#]$",
        description="WhatsApp's Cloud API, with its version.",
    )
    sink_port: int = Field(8025, ge=0, le=65535, description="Port of the local webhook receiver of `signalops up`.")
    send_timeout: float = Field(10.0, gt=0, description="Timeout of one attempt in seconds.")
    send_allowed_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="Networks besides the public internet that receivers, and the hosts of SIGNALOPS_SLACK_URL and the like, "
        'may be in: a JSON list such as `["10.1.0.0/16"]`; with an embedded PostgreSQL this machine.',
    )
    send_ports: tuple[int, ...] = Field(
        (80, 443), description="Allowed ports of receivers, besides those of mail; an empty list allows any."
    )
    send_plain_http: bool = Field(False, description="Whether receivers may be called without TLS (http URLs).")
    slack_url: str = Field(
        "https://hooks.slack.com/", pattern=r"^https?://.+/$", description="Prefix of every Slack webhook URL."
    )
    retry_schedule: tuple[float, ...] = Field(
        (5, 30, 120, 600, 3600, 10800, 28800),
        description="Seconds before each retry of a delivery, before jitter; after the last retry the delivery is a dead letter.",
    )
    channel_disable_after_days: float = Field(
        5, gt=0, description="Days of failures without a success after which a channel is disabled and its tenant notified."
    )

    @property
    def has_platform(self) -> bool:
        """Whether operators can be served: there is a login for the role signalops_platform."""
        return bool(self.platform_database_url or self.database_url or self.is_embedded)

    @property
    def mail_security(self) -> Literal["starttls", "tls", "none"]:
        """How the mail server is spoken to: as set, or else by where it is."""
        return self.smtp_security or ("none" if is_this_machine(self.smtp_host) else "starttls")

    @property
    def is_embedded(self) -> bool:
        """Whether the embedded PostgreSQL is used: an installation for a first try, on one machine."""
        return not (self.database_url or self.api_database_url or self.worker_database_url)


@lru_cache(1024)
def is_this_machine(host: str) -> bool:
    """Whether a name or an address stands for the machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def send_to_this_machine() -> None:
    """Allow receivers on this machine, for this process and its children, unless the environment sets it."""
    os.environ.update({**ON_ONE_MACHINE, **os.environ})


@cache
def settings() -> Settings:
    """Return the settings of this process, read once; with an embedded PostgreSQL messages may go to this machine."""
    if Settings().is_embedded:
        send_to_this_machine()
    return Settings()

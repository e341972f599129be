"""Hand one mail to a server by SMTP (RFC 5321), closed by TLS (RFC 3207, RFC 8314)."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime

from anlin.notify.base import ChannelError, Message, Receipt
from anlin.notify.mail.config import ADDRESS, Security, Server

MAX_TEXT_CHARS = 20_000
"""Ten pages; no notice of ours is longer."""
MAX_TITLE_CHARS = 200


def send(message: Message, config: Server) -> Receipt:
    """Send one mail.

    Each try of one message carries the same Message-ID, by which mail servers drop a repeat.

    Raises:
        ChannelError: permanent where the address, the account or the server's certificate is
            at fault.
    """
    if not ADDRESS.fullmatch(message.to):
        raise ChannelError("mail: the address is not one", permanent=True)
    if len(message.text) > MAX_TEXT_CHARS:
        raise ChannelError(f"mail: longer than {MAX_TEXT_CHARS} characters", permanent=True)
    mail = written(message, config)
    try:
        with _connected(config) as server:
            if config.security is Security.STARTTLS:
                server.starttls(context=config.tls or ssl.create_default_context())
            if config.user:
                server.login(config.user, config.password)
            server.send_message(mail)
    except ssl.SSLCertVerificationError as error:
        raise ChannelError("mail: the server's certificate does not hold", permanent=True) from (
            error
        )
    except smtplib.SMTPNotSupportedError as error:
        raise ChannelError("mail: the server does not offer STARTTLS", permanent=True) from error
    except smtplib.SMTPRecipientsRefused as error:
        code = next(iter(error.recipients.values()))[0]
        raise ChannelError(f"mail: the address was refused ({code})", permanent=code >= 500) from (
            error
        )
    except smtplib.SMTPResponseException as error:
        code = error.smtp_code
        raise ChannelError(f"mail: the server answered {code}", permanent=code >= 500) from error
    except (smtplib.SMTPException, OSError, EOFError) as error:
        raise ChannelError(f"mail: the server: {type(error).__name__}", permanent=False) from error
    return Receipt(str(mail["Message-ID"])[:80])


def written(message: Message, config: Server) -> EmailMessage:
    """Write the mail; nothing in the title can begin another header line."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = config.sender
    mail["To"] = message.to
    mail["Subject"] = " ".join(message.title.split())[:MAX_TITLE_CHARS]
    mail["Date"] = format_datetime(localtime())
    digest = hashlib.sha256(f"{message.key} {message.to}".encode()).hexdigest()[:32]
    mail["Message-ID"] = f"<{digest}@{config.sender.rpartition('@')[2]}>"
    # A machine that is away answers no machine (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    parts = (message.text, message.url)
    mail.set_content("\n\n".join(part for part in parts if part), cte="base64")
    return mail


def _connected(config: Server) -> smtplib.SMTP:
    if config.security is Security.TLS:
        context = config.tls or ssl.create_default_context()
        return smtplib.SMTP_SSL(config.host, config.port, timeout=config.timeout_s, context=context)
    return smtplib.SMTP(config.host, config.port, timeout=config.timeout_s)

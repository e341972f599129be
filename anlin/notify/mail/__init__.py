"""Mail by SMTP, through the server that a community has an account with."""

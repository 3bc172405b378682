"""Runs the analytics service: `python -m services.analytics`."""

from libs.runtime import service
from services.analytics.worker import set_up

if __name__ == "__main__":
    service.run("analytics", lambda config: config.analytics.grace_seconds, set_up)

"""The worker's service on Railway. Written by `oxcart init railway`; yours to change.

pip install railway-sdk==0.7.0   the Railway command line runs this file with your python3
railway config plan              shows what would change, and changes nothing
railway config apply             does it, after asking
"""

from __future__ import annotations

from railway_sdk import Project, define_railway, preserve, project, service

# This file owns one service. Everything else in the project is left alone; without this line `railway config apply`
# would offer to delete it. Do not rename it after the first apply. Is there a .railway file for the whole project
# already? Then put the service below into that one.
PARTIAL = "worker"


@define_railway
def main(_context: object = None) -> Project:
    worker = service(
        "worker",
        # It runs in the private network with these variables; when it fails, the deploy stops and the old one goes on.
        preDeploy="oxcart doctor",
        # Asked until it answers 200, at deploy time only: 200 means that the queue has answered the worker.
        healthcheck="/health",
        healthcheckTimeout=120,
        replicas=1,
        deploy={
            # The worker never exits because Redis is away, so a restart means a bug, or too little memory.
            "restartPolicyType": "ON_FAILURE",
            "restartPolicyMaxRetries": 10,
        },
        # No `start`: the image's own command is in exec form, so SIGTERM reaches the worker.
        env={
            # How long running jobs may go on when a deploy replaces the worker. Railway's own default is 0.
            "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "60",
            # How long old and new run together; both take jobs, and no job is run twice by it.
            "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS": "10",
            "RAILWAY_DOCKERFILE_PATH": "deploy/Dockerfile",
            "JOB_QUEUE_NAME": "agent-jobs",
            # preserve() keeps what is set in the dashboard: no secret is in this file. A variable that is set there
            # and missing here would be removed, and `railway config plan` says so.
            "UPSTASH_REDIS_REST_URL": preserve(),
            "UPSTASH_REDIS_REST_TOKEN": preserve(),
            "REDIS_URL": preserve(),
            "DATABASE_URL": preserve(),
            "ENCRYPTION_KEY": preserve(),
            "KOMMO_WEBHOOK_SECRET": preserve(),
            "OXCART_HTTP_TOKEN": preserve(),
            "OXCART_PUBLIC_URL": preserve(),
            "OXCART_ALERT_URL": preserve(),
            "OXCART_RELEASE": preserve(),
            "SENTRY_DSN": preserve(),
        },
    )
    return project("oxcart", resources=[worker])

"""Whose Redis is this? By its host name; advice differs from one provider to the next."""

from __future__ import annotations

from enum import StrEnum


class Provider(StrEnum):
    UPSTASH = "upstash"
    RAILWAY_PRIVATE = "railway-private"
    RAILWAY_PROXY = "railway-proxy"
    REDIS_CLOUD = "redis-cloud"
    ELASTICACHE = "elasticache"
    HEROKU = "heroku"
    AZURE = "azure"
    RENDER = "render"
    OTHER = "other"


# The first suffix that fits. Heroku names the bare EC2 machine; no other provider of Redis does.
_SUFFIXES = (
    (".upstash.io", Provider.UPSTASH),
    (".railway.internal", Provider.RAILWAY_PRIVATE),
    (".rlwy.net", Provider.RAILWAY_PROXY),
    (".railway.app", Provider.RAILWAY_PROXY),
    (".redis-cloud.com", Provider.REDIS_CLOUD),
    (".redislabs.com", Provider.REDIS_CLOUD),
    (".rlrcp.com", Provider.REDIS_CLOUD),
    (".cache.amazonaws.com", Provider.ELASTICACHE),
    (".cache.amazonaws.com.cn", Provider.ELASTICACHE),
    (".compute-1.amazonaws.com", Provider.HEROKU),
    (".compute.amazonaws.com", Provider.HEROKU),
    (".render.com", Provider.RENDER),
    (".redis.cache.windows.net", Provider.AZURE),
    (".redis.azure.net", Provider.AZURE),
    (".redisenterprise.cache.azure.net", Provider.AZURE),
)


def provider_of(host: str) -> Provider:
    name = host.lower().rstrip(".")
    if ".memorydb." in name and name.endswith(".amazonaws.com"):
        return Provider.ELASTICACHE
    return next((provider for suffix, provider in _SUFFIXES if name.endswith(suffix)), Provider.OTHER)

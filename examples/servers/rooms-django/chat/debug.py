"""Back doors for tests, never open in production: tenants, channels, users taken away, a database that fails."""

import time

from django.http import HttpRequest, HttpResponse, JsonResponse

from chat.database import fault, in_database
from chat.models import ChatChannel, Person, Tenant
from chat.views import Answer, body_of, endpoint


@endpoint("POST")
async def make_tenant(request: HttpRequest) -> HttpResponse:
    body = body_of(request)
    tenant = await in_database(lambda: Tenant.objects.create(name=body["name"], schema_name=body["schema_name"]))
    return JsonResponse({"id": tenant.id}, status=201)


@endpoint("POST")
async def make_channel(request: HttpRequest) -> HttpResponse:
    """A channel of exactly these members: over the API its maker would be one of them."""
    body = body_of(request)

    def make() -> ChatChannel:
        tenant = Tenant.objects.get(schema_name=body["schema_name"])
        members = list(Person.objects.filter(tenant=tenant, number__in=body["members"]))
        channel = ChatChannel.objects.create(tenant=tenant, name=body["name"])
        channel.participants.set(members)
        return channel

    channel = await in_database(make)
    return JsonResponse({"id": str(channel.id)}, status=201)


@endpoint("DELETE")
async def delete_person(request: HttpRequest, schema: str, number: int) -> HttpResponse:
    """With all that is his."""
    person = Person.objects.filter(tenant__schema_name=schema, number=number)
    deleted, _ = await in_database(person.delete)
    return HttpResponse(status=204 if deleted else 404)


@endpoint("POST")
async def break_store(request: HttpRequest) -> HttpResponse:
    body = body_of(request)
    if body["mode"] not in ("down", "slow"):
        raise Answer(400, "mode must be down or slow")
    fault.mode, fault.until = body["mode"], time.monotonic() + body["seconds"]
    return HttpResponse(status=204)

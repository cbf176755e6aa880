"""Tenants, their users, and what is said in their channels."""

import uuid

from django.db import models


class Tenant(models.Model):
    name = models.CharField(max_length=200)
    schema_name = models.CharField(max_length=63, unique=True)


class Person(models.Model):
    """`number` is his id for everybody outside, and counted in each tenant: there is a user 1 in all of them."""

    tenant = models.ForeignKey(Tenant, models.CASCADE)
    number = models.BigIntegerField()
    username = models.CharField(max_length=150)
    email = models.EmailField()
    password = models.CharField(max_length=200)
    last_seen = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "email"], name="one_person_per_address"),
            models.UniqueConstraint(fields=["tenant", "number"], name="one_person_per_number"),
        ]


class ChatChannel(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    tenant = models.ForeignKey(Tenant, models.CASCADE)
    name = models.CharField(max_length=200)
    channel_type = models.CharField(max_length=20, default="group")
    participants = models.ManyToManyField(Person, related_name="channels")


class ChatMessage(models.Model):
    channel = models.ForeignKey(ChatChannel, models.CASCADE, related_name="messages")
    author = models.ForeignKey(Person, models.CASCADE)
    content = models.TextField()
    timestamp = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]


class MessageReadStatus(models.Model):
    message = models.ForeignKey(ChatMessage, models.CASCADE, related_name="reads")
    reader = models.ForeignKey(Person, models.CASCADE)
    read_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["message", "reader"], name="read_once"),
        ]

"""HTTP goes to Django, WebSockets to the consumer."""

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

from chat.consumers import ChatConsumer

application = ProtocolTypeRouter({
    "http": get_asgi_application(),
    "websocket": URLRouter([path("ws/chat/<str:channel_id>/", ChatConsumer.as_asgi())]),
})

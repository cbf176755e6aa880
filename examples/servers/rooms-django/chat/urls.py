from django.conf import settings
from django.urls import path

from chat import debug, views

urlpatterns = [
    path("healthz", views.healthz),
    path("ws/chat/<str:channel_id>/", views.not_a_websocket),
    path("api/<str:schema>/auth/register/", views.register),
    path("api/<str:schema>/auth/login/", views.log_in),
    path("api/<str:schema>/auth/refresh/", views.refresh),
    path("api/chat/<str:schema>/channels/", views.channels),
    path("api/chat/<str:schema>/channels/<str:channel_id>/messages/", views.messages),
]
if settings.DEBUG_HOOKS:
    urlpatterns += [
        path("debug/tenants/", debug.make_tenant),
        path("debug/channels/", debug.make_channel),
        path("debug/users/<str:schema>/<int:number>/", debug.delete_person),
        path("debug/faults/store/", debug.break_store),
    ]

import os

os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray reads it when it is first imported, before cluster.local_ray

"""Settings that all tests share."""

from hypothesis import settings

from cluster.launch.token import use_own_token

# How long an example takes says nothing on a machine that does other things too.
settings.register_profile("ocelot", deadline=None)
settings.load_profile("ocelot")

# Ray reads its token once in a process, and here Ray starts several times, not always through cluster.local_ray.
use_own_token()

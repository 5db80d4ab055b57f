#!/bin/sh
# Records the demonstrations of examples/generalist/pretrain.yaml: 31 tasks of 6 domains, about half an hour on one core.
# Given again after an interruption, it goes on; what is recorded already is left alone.
set -u

record() { # episodes, tasks
    episodes=$1
    shift
    for task in "$@"; do
        domain=${task%%/*}
        name=${task#*/}
        if [ -e "${MINARI_DATASETS_PATH:-$HOME/.minari/datasets}/ocelot/$domain/$name-expert-v0/data" ]; then
            echo "$task: recorded already"
        else
            ocelot experts collect "$task" --quality expert --episodes "$episodes" --processes "${PROCESSES:-1}"
        fi
    done
}

record 200 gym/CartPole-v1 gym/Acrobot-v1 gym/Pendulum-v1 gym/MountainCar-v0 gym/MountainCarContinuous-v0
record 1000 sokoban/6x6-1 sokoban/8x8-2
record 600 babyai/GoToObj babyai/GoToRedBallNoDists babyai/GoToRedBallGrey babyai/GoToRedBall babyai/GoToLocal \
    babyai/PickupLoc
record 50 control/cartpole-balance control/cartpole-balance_sparse control/pendulum-swingup control/point_mass-easy \
    control/reacher-easy control/reacher-hard
record 50 control-random/cartpole-balance-small control-random/cartpole-balance-large \
    control-random/pendulum-swingup-small control-random/point_mass-easy-small control-random/reacher-easy-small
record 50 metaworld/reach-v3 metaworld/drawer-close-v3 metaworld/button-press-topdown-v3 metaworld/window-open-v3 \
    metaworld/window-close-v3 metaworld/door-open-v3 metaworld/drawer-open-v3

#!/bin/sh
# Records the demonstrations of examples/generalist/pretrain.yaml: 31 tasks of 6 domains, about half an hour on one core.
# Given again after an interruption, it goes on; what is recorded already is left alone.
set -u

record() { # seed, which is the dataset's version too; episodes; tasks
    seed=$1
    episodes=$2
    shift 2
    for task in "$@"; do
        dataset=ocelot/${task%%/*}/${task#*/}-expert-v$seed
        metadata="${MINARI_DATASETS_PATH:-$HOME/.minari/datasets}/$dataset/data/metadata.json"
        if grep -qs '"ocelot_complete": true' "$metadata"; then
            echo "$dataset: recorded already"
        else
            ocelot experts collect "$task" --quality expert --episodes "$episodes" --seed "$seed" --dataset "$dataset" \
                --processes "${PROCESSES:-1}"
        fi
    done
}

levels="babyai/GoToObj babyai/GoToRedBallNoDists babyai/GoToRedBallGrey babyai/GoToRedBall babyai/GoToLocal babyai/PickupLoc"

record 0 200 gym/CartPole-v1 gym/Acrobot-v1 gym/Pendulum-v1 gym/MountainCar-v0 gym/MountainCarContinuous-v0
record 0 1000 sokoban/6x6-1 sokoban/8x8-2
record 0 600 $levels
record 1 2000 $levels
record 0 50 control/cartpole-balance control/cartpole-balance_sparse control/pendulum-swingup control/point_mass-easy \
    control/reacher-easy control/reacher-hard
record 0 50 control-random/cartpole-balance-small control-random/cartpole-balance-large \
    control-random/pendulum-swingup-small control-random/point_mass-easy-small control-random/reacher-easy-small
record 0 50 metaworld/reach-v3 metaworld/drawer-close-v3 metaworld/button-press-topdown-v3 metaworld/window-open-v3 \
    metaworld/window-close-v3 metaworld/door-open-v3 metaworld/drawer-open-v3

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# For ACTIONS_RUNNER_HOOK_JOB_STARTED in the .env of a GitHub runner: from here on the job is watched.
# A job that cannot be watched fails before its first step.
/opt/cicd-sensor/cicd-sensor host start && exit
code=$?
echo "::error title=cicd-sensor::The job cannot be watched, see the line above; it is not run."
exit "$code"

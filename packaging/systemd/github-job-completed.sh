#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# For ACTIONS_RUNNER_HOOK_JOB_COMPLETED in the .env of a GitHub runner: the end of the job. When the
# agent does not know the job any more, somebody ended its observation early: the job fails.
/opt/cicd-sensor/cicd-sensor host end && exit
code=$?
echo "::error title=cicd-sensor::The job was not watched to its end, see the line above."
exit "$code"

// SPDX-License-Identifier: Apache-2.0
// Priority of the process that reads the rings. Thread: the main one, before others are started:
// they inherit it.
#pragma once

namespace cicd {

// A job that keeps every CPU busy must not keep us from emptying the rings: a sample that finds no
// room is lost. Where sessions are scheduled as groups (autogroup) the session gets it too, so it
// should be one of our own. Without the right to it the process runs like everybody.
void go_first();

// The calling thread before all that are not real-time: for one that does little at a time, and
// must do it soon however many there are. What it starts does not inherit it. False: no right to
// it.
bool go_before_all();

}  // namespace cicd

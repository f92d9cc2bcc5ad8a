// SPDX-License-Identifier: Apache-2.0
// The parts of Boost.Asio and Boost.Beast that need not be compiled again with each change of ours.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>

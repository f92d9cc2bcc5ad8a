// SPDX-License-Identifier: Apache-2.0
// What of fmt is not in its usual headers, for programs that have everything inside: Debian has no
// archive of fmt, but a header with all definitions. Nothing else is linked with this. The
// templates are those that fmt/format.h says are elsewhere and that our programs use.
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {

template thousands_sep_result<char> thousands_sep_impl<char>(locale_ref);
template char decimal_point_impl(locale_ref);
template dragonbox::decimal_fp<float> dragonbox::to_decimal(float) noexcept;
template dragonbox::decimal_fp<double> dragonbox::to_decimal(double) noexcept;

}  // namespace detail
FMT_END_NAMESPACE

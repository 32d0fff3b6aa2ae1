// Whether --numerics invariant costs a model anything.
#pragma once

#include "core/variant.h"
#include "model/model.h"

namespace plimsoll {

/// Yes where the kernels that run anyway keep the promise (docs/numerics.md): every weight in
/// panels, no outliers by batch, flash and decode attention. Otherwise why not. InputError when
/// context.attention cannot run at all.
Support invariant_is_free(Model& model, const ops::Context& context);

/// With context.numerics_auto: Numerics::invariant where that is free, else Numerics::fast, and
/// context.explain is told. Otherwise the context as it is.
ops::Context settled(const ops::Context& context, Model& model);

}  // namespace plimsoll

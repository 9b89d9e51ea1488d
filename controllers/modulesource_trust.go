package controllers

import (
	"errors"
	"slices"

	"k8s.io/utils/ptr"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/trust"
	"github.com/assay-dev/assay/internal/verify"
)

// usesDefaultRoot reports whether a ModuleSource is judged by the controller's
// own trusted root.
func usesDefaultRoot(obj *v1alpha1.ModuleSource) bool {
	return slices.ContainsFunc(obj.Spec.Verify.Authorities, func(a v1alpha1.Authority) bool {
		return a.TrustedRootRef == nil && (a.Keyless != nil || a.TransparencyLog != v1alpha1.TransparencyLogIgnore)
	})
}

// waitsForRoot reports whether the controller's own trusted root decides, and
// its first fetch has not ended, which takes a minute at the most; a file on a
// mount that hangs is not waited for longer either. What was reported by the
// process before this one stays until then, and a new source is in progress:
// either would only be Unknown for a moment.
func (r *ModuleSourceReconciler) waitsForRoot(obj *v1alpha1.ModuleSource) bool {
	if !usesDefaultRoot(obj) {
		return false
	}
	_, err := r.Trust.Snapshot()
	var unavailable *trust.UnavailableError
	if !errors.As(err, &unavailable) || unavailable.Cause != trust.NotFetched {
		return false
	}
	r.firstWait.CompareAndSwap(nil, ptr.To(r.Now()))
	return r.Now().Sub(*r.firstWait.Load()) < longestRootWait
}

// refreshRoot asks for a newer trusted root where that may change the verdict.
func (r *ModuleSourceReconciler) refreshRoot(obj *v1alpha1.ModuleSource, o outcome) {
	var refusal *verify.Refusal
	if o.err != nil && errors.As(o.err, &refusal) && refusal.ByRoot && usesDefaultRoot(obj) {
		r.Trust.Refresh()
	}
}

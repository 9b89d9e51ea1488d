package controllers

import (
	"context"
	"errors"
	"time"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers/inputs"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// readInputs is a ModuleSource and what it names as plain data.
type readInputs struct {
	// policy is who must have signed, where policyRead.
	policy     verify.Policy
	policyRead bool
	// gone is what spec.verify names and does not exist, and goneSince since
	// when; both empty where all of it does, and where goneUnknown.
	gone        []*source.Error
	goneSince   time.Time
	goneUnknown bool
	// goneUntil is when that is trust withdrawn; zero where it is so already.
	goneUntil time.Time
	// withdrawn is why nothing is trusted any more.
	withdrawn *source.Error
	// request is what to ask for, unless err.
	request source.Request
	err     *source.Error
}

// read reads the spec and what it names. The policy is read even where the
// rest cannot be: trust that is withdrawn takes effect all the same.
func (r *ModuleSourceReconciler) read(ctx context.Context, obj *v1alpha1.ModuleSource) readInputs {
	var in readInputs
	reader := inputs.Reader{Objects: r.Live, DefaultRoot: r.Trust.Snapshot, AllowInsecureCredentials: r.AllowInsecureCredentials}
	in.policy, in.gone, in.err = reader.Policy(ctx, obj)
	switch {
	case in.err != nil:
		in.goneUnknown = true
	case len(in.gone) > 0:
		r.withoutGone(obj, &in)
	}
	if in.err != nil {
		return in
	}
	in.policyRead = true
	in.request, in.err = reader.Request(ctx, obj, in.policy)
	in.request.Owner, in.request.Releases = ownerOf(obj), releases(obj)
	return in
}

// withoutGone decides what something that is gone means. For a while it may be
// one that is being replaced: the policy cannot be read. After that it is trust
// withdrawn from that authority: the others are judged by, as far as they
// suffice, which the same threshold makes no easier than all.
func (r *ModuleSourceReconciler) withoutGone(obj *v1alpha1.ModuleSource, in *readInputs) {
	now := r.Now()
	in.goneSince = now
	if since := obj.Status.TrustGoneSince; since != nil && !since.After(now) {
		in.goneSince = since.Time
	}
	first := in.gone[0]
	switch remain := len(in.policy.Authorities); {
	case now.Sub(in.goneSince) < r.TrustGrace:
		in.err, in.goneUntil = first, in.goneSince.Add(r.TrustGrace)
	case remain >= in.policy.Threshold && remain > 0:
		in.err = inputs.InvalidPolicy(in.policy)
	case obj.Status.Observed == nil:
		in.err = first // There is nothing from which trust could be withdrawn.
	default:
		in.err = inputs.Failure(source.Refused, v1alpha1.ReasonTrustWithdrawn, "expected %d of %d authorities, found %d whose trust material exists, and --trust-grace has passed: %s",
			in.policy.Threshold, len(obj.Spec.Verify.Authorities), remain, first.Message)
		in.withdrawn = in.err
	}
}

func asError(err error) *source.Error {
	var e *source.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

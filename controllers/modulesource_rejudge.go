package controllers

import (
	"context"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/controllers/evidence"
	"github.com/assay-dev/assay/controllers/inputs"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// rejudge looks at what is published already, before and without asking the
// registry: whether it is there, and whether it is still trusted. What is not
// trusted any more is withdrawn from the server at once, also where the disk
// does not let its files go; should the registry have other signatures for it,
// the poll that follows publishes it again.
func (r *ModuleSourceReconciler) rejudge(ctx context.Context, obj *v1alpha1.ModuleSource, in readInputs) (outcome, error) {
	o := outcome{err: in.err, credentials: in.request.Credentials.ID(), goneSince: in.goneSince, goneUntil: in.goneUntil, goneUnknown: in.goneUnknown}
	if in.policyRead {
		o.policyHash = in.policy.Hash()
		for _, gone := range in.gone {
			o.notCounted = append(o.notCounted, gone.Message)
		}
	}
	var err error
	denial := denialOf(obj)
	switch {
	case obj.Status.Artifact == nil:
		o.unremoved, err = r.clear(ctx, obj)
	case in.withdrawn != nil:
		r.withdraw(obj, &o, in.withdrawn)
	case denial != nil:
		r.withdraw(obj, &o, denial)
	default:
		err = r.rejudgePublished(ctx, obj, in, &o)
	}
	return o, err
}

// denialOf is why what is published must go, whatever else of spec.verify can be
// read; nil where nothing denies it.
func denialOf(obj *v1alpha1.ModuleSource) *source.Error {
	if obj.Status.Artifact == nil {
		return nil
	}
	denial := verify.Policy{DenyDigests: obj.Spec.Verify.DenyDigests}.Denial(revisionOf(obj.Status.Artifact.Revision).Digest)
	if denial == nil {
		return nil
	}
	return inputs.Failure(source.Refused, v1alpha1.ReasonDigestDenied, "%s", denial.Message)
}

func (r *ModuleSourceReconciler) rejudgePublished(ctx context.Context, obj *v1alpha1.ModuleSource, in readInputs, o *outcome) error {
	published, store, owner := obj.Status.Artifact, r.Syncer.Store, ownerOf(obj)
	// Also where it is missing: nothing else is current then.
	store.Adopt(owner, published.Digest)
	o.inStorage = store.Holds(owner, published.Path, published.Digest)
	if !o.inStorage {
		o.unkept = store.Serves(owner, published.Path, published.Digest)
		o.inStorage = o.unkept
	}
	evidence := obj.Status.Verification
	if !in.policyRead || (evidence != nil && evidence.PolicyHash == o.policyHash) {
		return nil
	}
	if !r.judgeKept(ctx, obj, in, o) {
		return nil
	}
	// What it replaced is served on for a while, and is not judged again.
	return store.KeepOnly(owner, published.Digest)
}

// judgeKept judges what is published under a changed policy by the signatures
// that were kept, and where these are lost, by the evidence, until the registry
// answers. It withdraws what may not stay, and reports whether it may.
func (r *ModuleSourceReconciler) judgeKept(ctx context.Context, obj *v1alpha1.ModuleSource, in readInputs, o *outcome) bool {
	published := obj.Status.Artifact
	digest := revisionOf(published.Revision).Digest
	kept, err := r.Syncer.Store.Signatures(ownerOf(obj), published.Digest)
	var failure *source.Error
	if err != nil {
		failure = allowed(in.policy, digest, obj.Status.Verification)
	} else {
		o.rejudged, err = r.Syncer.Judge(ctx, in.policy, digest, kept)
		r.Metrics.verdict(o.rejudged, err)
		failure = asError(err)
	}
	if failure != nil {
		r.withdraw(obj, o, failure)
	}
	return failure == nil
}

// withdraw stops serving what is not trusted any more.
func (r *ModuleSourceReconciler) withdraw(obj *v1alpha1.ModuleSource, o *outcome, why *source.Error) {
	o.withdrawn, o.inStorage, o.unkept = why, false, false
	o.unremoved = r.Syncer.Store.Withdraw(ownerOf(obj))
}

// allowed is why what is published may not stay while its signatures are lost:
// the signers in its evidence are not those whom the policy names.
func allowed(policy verify.Policy, digest string, recorded *v1alpha1.Verification) *source.Error {
	if recorded != nil && policy.AllowsSigners(digest, evidence.Signers(recorded)) {
		return nil
	}
	return inputs.Failure(source.Refused, v1alpha1.ReasonTrustWithdrawn,
		"%s: the signatures that it was verified by are lost, and spec.verify does not allow those who made them", digest)
}

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// inputs is a ModuleSource and what it names as plain data.
type inputs struct {
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

// inputs reads the spec and what it names. The policy is read even where the
// rest cannot be: trust that is withdrawn takes effect all the same.
func (r *ModuleSourceReconciler) inputs(ctx context.Context, obj *v1alpha1.ModuleSource) inputs {
	var in inputs
	in.policy, in.gone, in.err = r.policy(ctx, obj)
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
	in.request, in.err = r.request(ctx, obj, in.policy)
	return in
}

// withoutGone decides what something that is gone means. For a while it may be
// one that is being replaced: the policy cannot be read. After that it is trust
// withdrawn from that authority: the others are judged by, as far as they
// suffice, which the same threshold makes no easier than all.
func (r *ModuleSourceReconciler) withoutGone(obj *v1alpha1.ModuleSource, in *inputs) {
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
		in.err = invalidPolicy(in.policy)
	case obj.Status.Observed == nil:
		in.err = first // There is nothing from which trust could be withdrawn.
	default:
		in.err = failure(source.Refused, v1alpha1.ReasonTrustWithdrawn, "expected %d of %d authorities, found %d whose trust material exists, and --trust-grace has passed: %s",
			in.policy.Threshold, len(obj.Spec.Verify.Authorities), remain, first.Message)
		in.withdrawn = in.err
	}
}

func (r *ModuleSourceReconciler) request(ctx context.Context, obj *v1alpha1.ModuleSource, policy verify.Policy) (source.Request, *source.Error) {
	spec := &obj.Spec
	repository, err := registry.ParseRepository(spec.URL, spec.Insecure)
	if err != nil {
		return source.Request{}, invalidSpec("url", err.Error())
	}
	selector, err := registry.NewSelector(spec.Version, spec.Tag, spec.Digest, spec.VersionFilter)
	if bad := (*registry.SelectorError)(nil); errors.As(err, &bad) {
		return source.Request{}, invalidSpec(bad.Field, bad.Problem)
	}
	credentials, failure := r.credentials(ctx, obj, repository)
	if failure != nil {
		return source.Request{}, failure
	}
	return source.Request{Owner: ownerOf(obj), Repository: repository, Selector: selector, Credentials: credentials, Policy: policy, Releases: releases(obj)}, nil
}

// credentials reads spec.secretRef.
func (r *ModuleSourceReconciler) credentials(ctx context.Context, obj *v1alpha1.ModuleSource, repository registry.Repository) (registry.Credentials, *source.Error) {
	const field = "secretRef"
	ref := obj.Spec.SecretRef
	if ref == nil {
		return registry.Credentials{}, nil
	}
	if obj.Spec.Insecure && !r.AllowInsecureCredentials {
		return registry.Credentials{}, invalidSpec(field, "expected no credentials together with insecure: true, which would send them in the clear, found secretRef: remove one of them, or start the controller with --allow-insecure-credentials")
	}
	if obj.Spec.Suspend {
		return registry.Credentials{}, nil // Nobody is asked: that they are missing would not be noticed to have healed.
	}
	secret := &corev1.Secret{}
	if err := r.Live.Get(ctx, types.NamespacedName{Namespace: obj.Namespace, Name: ref.Name}, secret); err != nil {
		return registry.Credentials{}, unreadable(v1alpha1.ReasonAuthenticationFailed, field, "Secret", ref.Name, err)
	}
	raw, ok := secret.Data[corev1.DockerConfigJsonKey]
	if secret.Type != corev1.SecretTypeDockerConfigJson || !ok {
		return registry.Credentials{}, failure(source.Transient, v1alpha1.ReasonAuthenticationFailed,
			"spec.%s: Secret %q: expected the type %s with the entry %s, found type %q", field, ref.Name, corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, secret.Type)
	}
	credentials, err := registry.ParseDockerConfig(raw, repository)
	if err != nil {
		return registry.Credentials{}, failure(source.Transient, v1alpha1.ReasonAuthenticationFailed,
			"spec.%s: Secret %q, entry %s: %v", field, ref.Name, corev1.DockerConfigJsonKey, err)
	}
	return credentials, nil
}

// unreadable words a reference that cannot be read. The API server's own text
// stays out: it may change from one attempt to the next.
func unreadable(reason, field, kind, name string, err error) *source.Error {
	why := "the API server did not answer with it"
	switch {
	case apierrors.IsNotFound(err):
		why = "it does not exist in this namespace"
	case apierrors.IsForbidden(err):
		why = "the controller may not read it"
	}
	return failure(source.Transient, reason, "spec.%s: %s %q: %s", field, kind, name, why)
}

func invalidSpec(field, problem string) *source.Error {
	return failure(source.Invalid, v1alpha1.ReasonInvalidSpec, "spec.%s: %s", field, problem)
}

func failure(kind source.Kind, reason, format string, args ...any) *source.Error {
	return &source.Error{Step: source.StepInputs, Kind: kind, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func asError(err error) *source.Error {
	var e *source.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

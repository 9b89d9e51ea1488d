package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// keySuffix marks the entries of a Secret or ConfigMap that hold public keys.
const keySuffix = ".pub"

// inputs is a ModuleSource and what it names as plain data.
type inputs struct {
	// policy is who must have signed, where policyRead.
	policy     verify.Policy
	policyRead bool
	// request is what to ask for, unless err.
	request source.Request
	err     *source.Error
}

// inputs reads the spec and what it names. The policy is read even where the
// rest cannot be: trust that is withdrawn takes effect all the same.
func (r *ModuleSourceReconciler) inputs(ctx context.Context, obj *v1alpha1.ModuleSource) inputs {
	var in inputs
	policy, err := r.policy(ctx, obj)
	if err != nil {
		in.err = err
		return in
	}
	in.policy, in.policyRead = policy, true
	in.request, in.err = r.request(ctx, obj, policy)
	return in
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
	return source.Request{Owner: ownerOf(obj), Repository: repository, Selector: selector, Credentials: credentials, Policy: policy}, nil
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

// policy reads spec.verify and the keys that it names.
func (r *ModuleSourceReconciler) policy(ctx context.Context, obj *v1alpha1.ModuleSource) (verify.Policy, *source.Error) {
	spec := &obj.Spec.Verify
	if spec.Provider != "" && spec.Provider != "cosign" {
		return verify.Policy{}, invalidSpec("verify.provider", fmt.Sprintf("expected cosign, found %q", spec.Provider))
	}
	policy := verify.Policy{Threshold: 1}
	switch {
	case spec.Threshold != nil:
		policy.Threshold = int(*spec.Threshold)
	case len(spec.Authorities) > 1:
		return verify.Policy{}, invalidSpec("verify.threshold", fmt.Sprintf("expected how many of %d authorities must have signed, found nothing", len(spec.Authorities)))
	}
	for i, a := range spec.Authorities {
		if len(policy.Authorities) == verify.MaxAuthorities {
			break // Validate says so, and no more is read.
		}
		keys, err := r.keys(ctx, obj.Namespace, fmt.Sprintf("verify.authorities[%d].key", i), a.Key)
		if err != nil {
			return verify.Policy{}, err
		}
		policy.Authorities = append(policy.Authorities, verify.Authority{Name: a.Name, Keys: keys, TransparencyLog: verify.LogMode(a.TransparencyLog)})
	}
	if n := len(spec.Authorities); n > verify.MaxAuthorities {
		return verify.Policy{}, invalidSpec("verify.authorities", fmt.Sprintf("expected at most %d authorities, found %d", verify.MaxAuthorities, n))
	}
	var bad *verify.PolicyError
	if err := policy.Validate(); errors.As(err, &bad) {
		return verify.Policy{}, failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s", bad.Field, bad.Problem)
	}
	return policy, nil
}

func (r *ModuleSourceReconciler) keys(ctx context.Context, namespace, field string, key v1alpha1.KeyAuthority) ([]verify.Key, *source.Error) {
	switch {
	case key.SecretRef != nil && key.ConfigMapRef == nil && key.Data == "":
		secret := &corev1.Secret{}
		if err := r.read(ctx, namespace, field+".secretRef", "Secret", key.SecretRef.Name, secret); err != nil {
			return nil, err
		}
		return parseEntries(field+".secretRef", "Secret", key.SecretRef.Name, secret.Data)
	case key.ConfigMapRef != nil && key.SecretRef == nil && key.Data == "":
		configMap := &corev1.ConfigMap{}
		if err := r.read(ctx, namespace, field+".configMapRef", "ConfigMap", key.ConfigMapRef.Name, configMap); err != nil {
			return nil, err
		}
		entries := maps.Clone(configMap.BinaryData)
		if entries == nil {
			entries = map[string][]byte{}
		}
		for name, text := range configMap.Data {
			entries[name] = []byte(text)
		}
		return parseEntries(field+".configMapRef", "ConfigMap", key.ConfigMapRef.Name, entries)
	case key.Data != "" && key.SecretRef == nil && key.ConfigMapRef == nil:
		keys, err := verify.ParseKeys([]byte(key.Data))
		if err != nil {
			return nil, invalidSpec(field+".data", err.Error())
		}
		return keys, nil
	default:
		return nil, invalidSpec(field, "expected exactly one of secretRef, configMapRef and data")
	}
}

// read gets an object that spec.verify names.
func (r *ModuleSourceReconciler) read(ctx context.Context, namespace, field, kind, name string, into client.Object) *source.Error {
	if err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, into); err != nil {
		return unreadable(v1alpha1.ReasonTrustUnavailable, field, kind, name, err)
	}
	return nil
}

// parseEntries reads the keys of every entry whose name ends in .pub. An entry
// that cannot be read spoils the whole: it may be the one that matters.
func parseEntries(field, kind, object string, entries map[string][]byte) ([]verify.Key, *source.Error) {
	var keys []verify.Key
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if !strings.HasSuffix(name, keySuffix) {
			continue
		}
		parsed, err := verify.ParseKeys(entries[name])
		if err != nil {
			return nil, failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q, entry %q: %v", field, kind, object, name, err)
		}
		if keys = append(keys, parsed...); len(keys) > verify.MaxKeys {
			return nil, failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q: expected at most %d keys, found more", field, kind, object, verify.MaxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q: expected an entry whose name ends in %s, found none among %d entries", field, kind, object, keySuffix, len(entries))
	}
	return keys, nil
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

package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/trust"
	"github.com/assay-dev/assay/internal/verify"
)

// keySuffix marks the entries of a Secret or ConfigMap that hold public keys.
const keySuffix = ".pub"

// policy reads spec.verify and what it names. Authorities are left out whose
// keys or trusted root do not exist; gone says which and why.
func (r *ModuleSourceReconciler) policy(ctx context.Context, obj *v1alpha1.ModuleSource) (policy verify.Policy, gone []*source.Error, err *source.Error) {
	spec := &obj.Spec.Verify
	if len(spec.UnknownFields) > 0 {
		// Which of several comes first must not follow the order in a map.
		return policy, nil, invalidSpec(fmt.Sprintf("verify.%.200s", slices.Min(spec.UnknownFields)), "expected a field that this version knows: is it misspelt, or misplaced?")
	}
	if spec.Provider != "" && spec.Provider != "cosign" {
		return policy, nil, invalidSpec("verify.provider", fmt.Sprintf("expected cosign, found %q", spec.Provider))
	}
	if n := len(spec.Authorities); n > verify.MaxAuthorities {
		return policy, nil, invalidSpec("verify.authorities", fmt.Sprintf("expected at most %d authorities, found %d", verify.MaxAuthorities, n))
	}
	policy.Threshold, policy.DenyDigests = 1, spec.DenyDigests
	switch {
	case spec.Threshold != nil:
		policy.Threshold = int(*spec.Threshold)
	case len(spec.Authorities) > 1:
		return policy, nil, invalidSpec("verify.threshold", fmt.Sprintf("expected how many of %d authorities must have signed, found nothing", len(spec.Authorities)))
	}
	roots := &trustedRoots{reconciler: r, namespace: obj.Namespace}
	for i, a := range spec.Authorities {
		authority, err := r.authority(ctx, roots, fmt.Sprintf("verify.authorities[%d]", i), a)
		if err != nil && err.Gone {
			gone = append(gone, err)
			continue
		}
		if err != nil {
			return policy, nil, err
		}
		policy.Authorities = append(policy.Authorities, authority)
	}
	if len(gone) > 0 {
		return policy, gone, nil // It is not the policy that was written.
	}
	return policy, nil, invalidPolicy(policy)
}

func invalidPolicy(policy verify.Policy) *source.Error {
	var bad *verify.PolicyError
	if err := policy.Validate(); errors.As(err, &bad) {
		return failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s", bad.Field, bad.Problem)
	}
	return nil
}

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

// authority reads one authority, and what it names.
func (r *ModuleSourceReconciler) authority(ctx context.Context, roots *trustedRoots, field string, spec v1alpha1.Authority) (verify.Authority, *source.Error) {
	a := verify.Authority{Name: spec.Name, TransparencyLog: verify.LogMode(spec.TransparencyLog)}
	if a.TransparencyLog == "" {
		a.TransparencyLog = verify.LogRequire
	}
	var err *source.Error
	if a.NotBefore, err = timeIn(field+".notBefore", spec.NotBefore); err != nil {
		return a, err
	}
	if a.NotAfter, err = timeIn(field+".notAfter", spec.NotAfter); err != nil {
		return a, err
	}
	switch {
	case spec.Key != nil && spec.Keyless == nil:
		a.Keys, err = r.keys(ctx, roots.namespace, field+".key", *spec.Key)
	case spec.Keyless != nil && spec.Key == nil:
		a.Identities, err = identities(field+".keyless", spec.Keyless.Identities)
	default:
		return a, invalidSpec(field, "expected exactly one of key and keyless")
	}
	if err != nil {
		return a, err
	}
	if spec.Key != nil && a.TransparencyLog == verify.LogIgnore {
		if spec.TrustedRootRef != nil {
			return a, invalidSpec(field+".trustedRootRef", "expected none for a key with transparencyLog: Ignore, on which it has no effect, found one")
		}
		return a, nil // Such an authority asks for no root, and does not wait for one.
	}
	a.Root, err = roots.get(ctx, field+".trustedRootRef", spec.TrustedRootRef)
	return a, err
}

// timeIn reads a time in RFC 3339; the zero value for none.
func timeIn(field, text string) (time.Time, *source.Error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := v1alpha1.ParseTime(text)
	if err != nil {
		return time.Time{}, invalidSpec(field, err.Error())
	}
	return t, nil
}

// identities reads the identities of an authority.
func identities(field string, specs []v1alpha1.Identity) ([]verify.Identity, *source.Error) {
	if len(specs) == 0 {
		return nil, invalidSpec(field+".identities", "expected at least one identity, found none")
	}
	all := make([]verify.Identity, 0, min(len(specs), verify.MaxIdentities))
	for i, spec := range specs {
		field := fmt.Sprintf("%s.identities[%d]", field, i)
		if i == verify.MaxIdentities {
			return nil, invalidSpec(field, fmt.Sprintf("expected at most %d identities, found %d", verify.MaxIdentities, len(specs)))
		}
		written := verify.IdentitySpec{Issuer: spec.Issuer, IssuerRegExp: spec.IssuerRegExp, Subject: spec.Subject, SubjectRegExp: spec.SubjectRegExp}
		for _, e := range spec.Extensions {
			written.Extensions = append(written.Extensions, verify.Extension{Name: e.Name, Value: e.Value})
		}
		identity, err := verify.NewIdentity(written)
		if bad := (*verify.IdentityError)(nil); errors.As(err, &bad) {
			return nil, invalidSpec(field+"."+bad.Field, bad.Problem)
		}
		all = append(all, identity)
	}
	return all, nil
}

// trustedRoots reads each trusted root that a ModuleSource names once, so that
// one verdict is reached under one state of it.
type trustedRoots struct {
	reconciler *ModuleSourceReconciler
	namespace  string
	read       map[v1alpha1.TrustedRootReference]*verify.TrustedRoot
}

// get returns the root that a reference names; the controller's own for none.
func (t *trustedRoots) get(ctx context.Context, field string, ref *v1alpha1.TrustedRootReference) (*verify.TrustedRoot, *source.Error) {
	var key v1alpha1.TrustedRootReference // The zero value is the controller's own root.
	if ref != nil {
		if ref.Name == "" {
			return nil, invalidSpec(field+".name", "expected the name of a ConfigMap or Secret, found none")
		}
		if key = *ref; key.Key == "" {
			key.Key = v1alpha1.DefaultTrustedRootKey
		}
	}
	if root, ok := t.read[key]; ok {
		return root, nil
	}
	root, err := t.load(ctx, field, key)
	if err != nil {
		return nil, err
	}
	if t.read == nil {
		t.read = map[v1alpha1.TrustedRootReference]*verify.TrustedRoot{}
	}
	t.read[key] = root
	return root, nil
}

func (t *trustedRoots) load(ctx context.Context, field string, ref v1alpha1.TrustedRootReference) (*verify.TrustedRoot, *source.Error) {
	if ref.Name == "" {
		root, err := t.reconciler.Trust.Snapshot()
		if err != nil {
			return nil, failure(source.Transient, v1alpha1.ReasonTrustUnavailable, "spec.%s: none is named, and the controller has %v", field, err)
		}
		return root, nil
	}
	entries, err := t.entries(ctx, field, ref)
	if err != nil {
		return nil, err
	}
	raw, ok := entries[ref.Key]
	if !ok {
		return nil, gone(failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q: expected the entry %q, found none of that name among %d entries", field, ref.Kind, ref.Name, ref.Key, len(entries)))
	}
	root, bad := verify.ParseTrustedRoot(raw)
	if bad != nil {
		return nil, failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q, entry %q: %v", field, ref.Kind, ref.Name, ref.Key, bad)
	}
	return root, nil
}

func (t *trustedRoots) entries(ctx context.Context, field string, ref v1alpha1.TrustedRootReference) (map[string][]byte, *source.Error) {
	switch ref.Kind {
	case "Secret":
		secret := &corev1.Secret{}
		err := t.reconciler.read(ctx, t.namespace, field, ref.Kind, ref.Name, secret)
		return secret.Data, err
	case "ConfigMap":
		configMap := &corev1.ConfigMap{}
		err := t.reconciler.read(ctx, t.namespace, field, ref.Kind, ref.Name, configMap)
		return entriesOf(configMap), err
	default:
		return nil, invalidSpec(field+".kind", fmt.Sprintf("expected ConfigMap or Secret, found %.100q", ref.Kind))
	}
}

// entriesOf are the entries of a ConfigMap, of both kinds.
func entriesOf(configMap *corev1.ConfigMap) map[string][]byte {
	entries := maps.Clone(configMap.BinaryData)
	if entries == nil {
		entries = map[string][]byte{}
	}
	for name, text := range configMap.Data {
		entries[name] = []byte(text)
	}
	return entries
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
		return parseEntries(field+".configMapRef", "ConfigMap", key.ConfigMapRef.Name, entriesOf(configMap))
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
		failure := unreadable(v1alpha1.ReasonTrustUnavailable, field, kind, name, err)
		failure.Gone = apierrors.IsNotFound(err)
		return failure
	}
	return nil
}

// gone marks an error about something that does not exist.
func gone(err *source.Error) *source.Error {
	err.Gone = true
	return err
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
		return nil, gone(failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q: expected an entry whose name ends in %s, found none among %d entries", field, kind, object, keySuffix, len(entries)))
	}
	return keys, nil
}

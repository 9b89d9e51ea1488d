package inputs

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
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// keySuffix marks the entries of a Secret or ConfigMap that hold public keys.
const keySuffix = ".pub"

// trustedRoots reads each trusted root that a ModuleSource names once, so that
// one verdict is reached under one state of it.
type trustedRoots struct {
	reader    Reader
	namespace string
	read      map[v1alpha1.TrustedRootReference]*verify.TrustedRoot
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
		root, err := t.reader.DefaultRoot()
		if told := (*UnreadableError)(nil); errors.As(err, &told) {
			return nil, Failure(source.Transient, v1alpha1.ReasonTrustUnavailable, "spec.%s: none is named, and %s", field, told.Why)
		}
		if err != nil {
			return nil, Failure(source.Transient, v1alpha1.ReasonTrustUnavailable, "spec.%s: none is named, and the controller has %v", field, err)
		}
		return root, nil
	}
	entries, err := t.entries(ctx, field, ref)
	if err != nil {
		return nil, err
	}
	raw, ok := entries[ref.Key]
	if !ok {
		return nil, gone(Failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q: expected the entry %q, found none of that name among %d entries", field, ref.Kind, ref.Name, ref.Key, len(entries)))
	}
	root, bad := verify.ParseTrustedRoot(raw)
	if bad != nil {
		return nil, Failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q, entry %q: %v", field, ref.Kind, ref.Name, ref.Key, bad)
	}
	return root, nil
}

func (t *trustedRoots) entries(ctx context.Context, field string, ref v1alpha1.TrustedRootReference) (map[string][]byte, *source.Error) {
	switch ref.Kind {
	case "Secret":
		secret := &corev1.Secret{}
		err := t.reader.read(ctx, t.namespace, field, ref.Kind, ref.Name, secret)
		return secret.Data, err
	case "ConfigMap":
		configMap := &corev1.ConfigMap{}
		err := t.reader.read(ctx, t.namespace, field, ref.Kind, ref.Name, configMap)
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

func (r Reader) keys(ctx context.Context, namespace, field string, key v1alpha1.KeyAuthority) ([]verify.Key, *source.Error) {
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
func (r Reader) read(ctx context.Context, namespace, field, kind, name string, into client.Object) *source.Error {
	if err := r.Objects.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, into); err != nil {
		failed := unreadable(v1alpha1.ReasonTrustUnavailable, field, kind, name, err)
		failed.Gone = apierrors.IsNotFound(err)
		return failed
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
			return nil, Failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q, entry %q: %v", field, kind, object, name, err)
		}
		if keys = append(keys, parsed...); len(keys) > verify.MaxKeys {
			return nil, Failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q: expected at most %d keys, found more", field, kind, object, verify.MaxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, gone(Failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s %q: expected an entry whose name ends in %s, found none among %d entries", field, kind, object, keySuffix, len(entries)))
	}
	return keys, nil
}

package api

import (
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/registry"
	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/sigstore"
)

// errUnknownField is why the core refuses what it has no place for.
var errUnknownField = errors.New("unknown field")

// core returns why the core refuses a spec that the API server has stored, read
// as the controller reads it. References are taken for what they name: one key,
// or a trusted root with everything in it.
func core(stored map[string]any) error {
	var spec v1alpha1.ModuleSourceSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(stored, &spec); err != nil {
		return err
	}
	if _, err := registry.ParseRepository(spec.URL, spec.Insecure); err != nil {
		return err
	}
	if _, err := registry.NewSelector(spec.Version, spec.Tag, spec.Digest, spec.VersionFilter); err != nil {
		return err
	}
	if _, ok := stored["verify"]; !ok {
		return nil // As in a probe.
	}
	return corePolicy(spec.Verify)
}

func corePolicy(spec v1alpha1.Verify) error {
	if len(spec.UnknownFields) > 0 {
		return fmt.Errorf("%w %q", errUnknownField, spec.UnknownFields)
	}
	policy := verify.Policy{Threshold: 1, DenyDigests: spec.DenyDigests}
	if spec.Threshold != nil {
		policy.Threshold = int(*spec.Threshold)
	}
	for i, a := range spec.Authorities {
		authority, err := coreAuthority(a, publicKey(byte(i)))
		if err != nil {
			return fmt.Errorf("authorities[%d]: %w", i, err)
		}
		policy.Authorities = append(policy.Authorities, authority)
	}
	return policy.Validate()
}

// coreAuthority reads an authority; stored is the key that its reference names.
func coreAuthority(spec v1alpha1.Authority, stored string) (verify.Authority, error) {
	a := verify.Authority{Name: spec.Name, TransparencyLog: verify.LogMode(spec.TransparencyLog)}
	if a.TransparencyLog == "" {
		a.TransparencyLog = verify.LogRequire
	}
	var err error
	if a.NotBefore, err = coreTime(spec.NotBefore); err != nil {
		return a, err
	}
	if a.NotAfter, err = coreTime(spec.NotAfter); err != nil {
		return a, err
	}
	switch {
	case spec.Key != nil && spec.Keyless == nil:
		a.Keys, err = coreKeys(*spec.Key, stored)
	case spec.Keyless != nil && spec.Key == nil:
		a.Identities, err = coreIdentities(spec.Keyless.Identities)
	default:
		err = errors.New("expected exactly one of key and keyless")
	}
	if err != nil {
		return a, err
	}
	ref := spec.TrustedRootRef
	switch {
	case spec.Key != nil && a.TransparencyLog == verify.LogIgnore && ref != nil:
		return a, errors.New("expected no trustedRootRef where it has no effect")
	case ref != nil && (ref.Kind != "ConfigMap" && ref.Kind != "Secret" || ref.Name == ""):
		return a, fmt.Errorf("expected the name of a ConfigMap or Secret, found %v", *ref)
	}
	a.Root, err = everyRoot()
	return a, err
}

func coreKeys(spec v1alpha1.KeyAuthority, stored string) ([]verify.Key, error) {
	given := 0
	for _, is := range []bool{spec.SecretRef != nil, spec.ConfigMapRef != nil, spec.Data != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("expected exactly one of secretRef, configMapRef and data")
	}
	if spec.Data != "" {
		stored = spec.Data
	}
	return verify.ParseKeys([]byte(stored))
}

func coreIdentities(specs []v1alpha1.Identity) (all []verify.Identity, err error) {
	for i, spec := range specs {
		identity, err := coreIdentity(spec)
		if err != nil {
			return nil, fmt.Errorf("identities[%d]: %w", i, err)
		}
		all = append(all, identity)
	}
	return all, nil
}

func coreIdentity(spec v1alpha1.Identity) (verify.Identity, error) {
	written := verify.IdentitySpec{Issuer: spec.Issuer, IssuerRegExp: spec.IssuerRegExp, Subject: spec.Subject, SubjectRegExp: spec.SubjectRegExp}
	for _, e := range spec.Extensions {
		written.Extensions = append(written.Extensions, verify.Extension{Name: e.Name, Value: e.Value})
	}
	return verify.NewIdentity(written)
}

// everyRoot is a trusted root with a certificate authority, logs and a
// timestamp authority.
var everyRoot = sync.OnceValues(func() (*verify.TrustedRoot, error) {
	instance, err := sigstore.New()
	if err != nil {
		return nil, err
	}
	return verify.ParseTrustedRoot(instance.TrustedRoot())
})

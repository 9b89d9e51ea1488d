package inputs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/internal/source"
	"github.com/assay-dev/assay/internal/verify"
)

// Policy reads spec.verify and what it names. Authorities are left out whose
// keys or trusted root do not exist; gone says which and why.
func (r Reader) Policy(ctx context.Context, obj *v1alpha1.ModuleSource) (policy verify.Policy, gone []*source.Error, err *source.Error) {
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
	roots := &trustedRoots{reader: r, namespace: obj.Namespace}
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
	return policy, nil, InvalidPolicy(policy)
}

// InvalidPolicy is why a policy cannot be applied; nil where it can.
func InvalidPolicy(policy verify.Policy) *source.Error {
	var bad *verify.PolicyError
	if err := policy.Validate(); errors.As(err, &bad) {
		return Failure(source.Invalid, v1alpha1.ReasonInvalidTrust, "spec.%s: %s", bad.Field, bad.Problem)
	}
	return nil
}

// authority reads one authority, and what it names.
func (r Reader) authority(ctx context.Context, roots *trustedRoots, field string, spec v1alpha1.Authority) (verify.Authority, *source.Error) {
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
